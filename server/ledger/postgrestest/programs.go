package postgrestest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// debian is where Debian keeps the programs of each version; they are not in PATH there.
const debian = "/usr/lib/postgresql/*/bin"

const noPrograms = missing("PostgreSQL's initdb and postgres are neither in " + debian +
	" nor in PATH: install PostgreSQL (on Debian: apt-get install postgresql)")

// programs gives the folder of the newest version's initdb and postgres among those that match pattern, else the one in
// PATH.
func programs(pattern string) (folder string, err error) {
	folders, err := filepath.Glob(pattern)
	if err != nil {
		return "", err
	}
	newest := -1.0
	for _, f := range folders {
		version, err := strconv.ParseFloat(filepath.Base(filepath.Dir(f)), 64) // "15"; once also "9.6"
		if err == nil && version > newest && complete(f) {
			folder, newest = f, version
		}
	}
	if folder != "" {
		return folder, nil
	}
	initdb, err := exec.LookPath("initdb")
	if err != nil || !complete(filepath.Dir(initdb)) {
		return "", noPrograms
	}
	return filepath.Abs(filepath.Dir(initdb))
}

func complete(folder string) bool {
	for _, name := range []string{"initdb", "postgres"} {
		info, err := os.Stat(filepath.Join(folder, name))
		if err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
			return false
		}
	}
	return true
}
