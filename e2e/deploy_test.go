package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"debug/elf"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/goccy/go-yaml"
)

const deploySite = "https://www.shop.example"

// deployed is a server that a deployed file starts.
type deployed struct {
	cmd     *exec.Cmd
	address string // http://127.0.0.1:port
}

// serveAs runs stile with the arguments of a deployed file, whose paths are changed for the test's own.
func serveAs(t *testing.T, binary string, args []string, data string) *deployed {
	t.Helper()
	args = slices.Clone(args)
	for i, arg := range args {
		switch {
		case arg == "/etc/stile":
			args[i] = t.TempDir()
			if err := os.WriteFile(filepath.Join(args[i], "stile.yaml"), []byte(exampleFile(t, "deploy", "stile.yaml")), 0o600); err != nil {
				t.Fatal(err)
			}
		case i > 0 && args[i-1] == "--listen":
			args[i] = "127.0.0.1:0"
		case i > 0 && args[i-1] == "--data":
			args[i] = data
		}
	}
	return started(t, exec.Command(binary, args...))
}

// started starts a server and waits until it says where.
func started(t *testing.T, cmd *exec.Cmd) *deployed {
	t.Helper()
	stderr, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	d := &deployed{cmd: cmd}
	t.Cleanup(d.stop)
	found, log := make(chan string, 1), strings.Builder{}
	go func() {
		defer close(found)
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			fmt.Fprintln(&log, lines.Text())
			if m := serving.FindStringSubmatch(lines.Text()); m != nil {
				found <- m[1]
				_, _ = io.Copy(io.Discard, stderr)
				return
			}
		}
	}()
	d.address = <-found
	if d.address == "" {
		t.Fatalf("%v did not start:\n%s", cmd.Args, log.String())
	}
	return d
}

func (d *deployed) stop() {
	if d.cmd.ProcessState == nil {
		_ = d.cmd.Process.Signal(syscall.SIGTERM)
		_ = d.cmd.Wait()
	}
}

// answers checks that a started server serves the site of examples/deploy.
func (d *deployed) answers(t *testing.T) {
	t.Helper()
	for path, want := range map[string]string{"/healthz": "ok", "/readyz": "ok", "/stile/shop.js": "stile"} {
		resp, err := http.Get(d.address + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("%s answers %d: %v", path, resp.StatusCode, err)
		}
	}
}

// freePort is an address on which nobody listens at the moment, for what does not tell which it was given. It is below those
// that the kernel gives to outgoing connections (32768 and up), of which browsers make many meanwhile.
func freePort(t *testing.T) string {
	t.Helper()
	for attempt := 0; ; attempt++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10000+rand.IntN(22000)))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
		if attempt == 100 {
			t.Fatal(err)
		}
	}
}

// writeCertificate writes the throw-away certificate as nginx reads it.
func writeCertificate(t *testing.T, cert, key string) {
	t.Helper()
	c := certificate(t)
	private, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err == nil {
		err = os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}), 0o600)
	}
	if err == nil {
		err = os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// nginxWith starts nginx with examples/deploy/nginx.conf in front of a Stile, after nginx has checked it, and returns a client
// for which www.shop.example is there. Ports and paths are the test's own, and nothing else of the files is changed.
func nginxWith(t *testing.T, stile string) *http.Client {
	t.Helper()
	binary := ""
	for _, name := range []string{"nginx", "/usr/sbin/nginx"} { // sbin is often not in PATH
		if path, err := exec.LookPath(name); err == nil {
			binary = path
			break
		}
	}
	if binary == "" {
		t.Skip("skipped: nginx is not installed; apt-get install nginx-light. examples/deploy/nginx.conf was not started")
	}
	folder := t.TempDir()
	path := func(name string) string { return filepath.Join(folder, name) }
	plain, secure := freePort(t), freePort(t)
	writeCertificate(t, path("cert.pem"), path("cert.key"))
	page := `<!doctype html><html lang="en"><head><script src="/stile/shop.js"></script><title>Shop</title></head><body><h1>Shop</h1></body></html>`
	if err := os.Mkdir(path("www"), 0o700); err != nil {
		t.Fatal(err)
	}
	change := strings.NewReplacer(
		"server 127.0.0.1:8081;", "server "+strings.TrimPrefix(stile, "http://")+";", "listen 80;", "listen "+plain+";", "listen 443 ssl", "listen "+secure+" ssl",
		"/etc/ssl/www.shop.example.pem", path("cert.pem"), "/etc/ssl/www.shop.example.key", path("cert.key"),
		"/srv/www.shop.example", path("www"), "/etc/nginx/stile-proxy.conf", path("stile-proxy.conf"),
	)
	as := ""
	if u, err := user.Current(); err == nil && u.Uid == "0" { // as root nginx would change to a user who may not read the folder
		as = "user " + u.Username + ";\n"
	}
	conf := as + "daemon off;\nworker_processes 1;\npid nginx.pid;\nerror_log stderr crit;\nevents {}\nhttp {\naccess_log off;\nclient_body_temp_path body;\nproxy_temp_path proxy;\n" +
		"fastcgi_temp_path fastcgi;\nuwsgi_temp_path uwsgi;\nscgi_temp_path scgi;\ntypes { text/html html; }\n" + change.Replace(exampleFile(t, "deploy", "nginx.conf")) + "}\n"
	for name, text := range map[string]string{"nginx.conf": conf, "stile-proxy.conf": exampleFile(t, "deploy", "stile-proxy.conf"), "www/index.html": page} {
		if err := os.WriteFile(path(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"-p", folder + string(filepath.Separator), "-e", "stderr", "-c", path("nginx.conf")}
	if out, err := exec.Command(binary, append(args, "-t")...).CombinedOutput(); err != nil {
		t.Fatalf("nginx -t: %v\n%s", err, out)
	}
	cmd := exec.Command(binary, args...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	ports := map[string]string{"80": plain, "443": secure}
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			return (&net.Dialer{}).DialContext(ctx, network, ports[port])
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	(&world{t: t}).until("nginx to listen", func() bool {
		conn, err := net.Dial("tcp", secure)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// asked sends a request and returns the answer with its body.
func asked(t *testing.T, client *http.Client, method, address string, headers map[string]string, body io.Reader) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, body)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range headers {
		req.Header.Set(name, value)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(text)
}

// nginx publishes the gate and nothing else of Stile, and says truly who asks and how; without Stile the page is still there.
func TestDeployNginx(t *testing.T) {
	t.Parallel()
	d := serveAs(t, stileBinary, unitArgs(t), t.TempDir())
	client := nginxWith(t, d.address)
	get := func(address string, headers map[string]string) (*http.Response, string) {
		t.Helper()
		return asked(t, client, http.MethodGet, address, headers, nil)
	}
	if resp, _ := get("http://www.shop.example/a?b=c", nil); resp.StatusCode != http.StatusMovedPermanently || resp.Header.Get("Location") != deploySite+"/a?b=c" {
		t.Errorf("plain HTTP answers %d %s", resp.StatusCode, resp.Header.Get("Location"))
	}
	if resp, text := get(deploySite+"/", nil); resp.StatusCode != http.StatusOK || !strings.Contains(text, "<h1>Shop</h1>") {
		t.Errorf("the page answers %d %q", resp.StatusCode, text)
	}
	for _, path := range []string{"/admin/", "/admin/login", "/metrics", "/healthz", "/readyz", "/stile/../admin/", "/stile/%2e%2e/metrics"} {
		if resp, text := get(deploySite+path, nil); resp.StatusCode != http.StatusNotFound || !strings.Contains(text, "nginx") {
			t.Errorf("%s is published: %d %q", path, resp.StatusCode, text)
		}
	}
	// What nginx takes for something under /stile/ is that to Stile too.
	for _, path := range []string{"/admin/../stile/shop.js", "/admin/..%2fstile%2fshop.js", "/admin/%2e%2e/stile/shop.js", "//admin/..//stile/shop.js"} {
		if resp, _ := get(deploySite+path, nil); resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/javascript; charset=utf-8" {
			t.Errorf("%s answers %d %s %s", path, resp.StatusCode, resp.Header.Get("Content-Type"), resp.Header.Get("Location"))
		}
	}
	if resp, text := get(deploySite+"/.well-known/gpc.json", nil); resp.StatusCode != http.StatusOK || !json.Valid([]byte(text)) {
		t.Errorf("gpc.json answers %d %q", resp.StatusCode, text)
	}

	script := deploySite + "/stile/shop.js"
	resp, _ := get(script, map[string]string{"Accept-Encoding": "br"})
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Encoding") != "br" || resp.Header.Get("ETag") == "" {
		t.Fatalf("the script answers %d %v", resp.StatusCode, resp.Header)
	}
	if resp, _ := get(script, map[string]string{"Accept-Encoding": "br", "If-None-Match": resp.Header.Get("ETag")}); resp.StatusCode != http.StatusNotModified {
		t.Errorf("asked again with its ETag the script answers %d", resp.StatusCode)
	}
	_, text := get(deploySite+"/stile/shop/preferences", nil)
	notice := regexp.MustCompile(`name="?notice"? value="?([A-Za-z0-9_-]+)`).FindStringSubmatch(text)
	if notice == nil {
		t.Fatalf("the page of choices has no notice: %s", text)
	}
	form := url.Values{"accept": {"none"}, "notice": {notice[1]}, "id": {"0b8ae8d5-2f52-4f57-9a53-6f0f6f0a1c11"}}
	resp, text = asked(t, client, http.MethodPost, deploySite+"/stile/shop/choice", map[string]string{
		"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json", "Origin": deploySite, "X-Forwarded-Proto": "http",
	}, strings.NewReader(form.Encode()))
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("a choice answers %d %s", resp.StatusCode, text)
	}
	if !slices.ContainsFunc(resp.Cookies(), func(c *http.Cookie) bool { return c.Name == "stile_shop" && c.Secure && c.HttpOnly }) {
		t.Errorf("the choice cookie is not Secure, or not there: %v", resp.Header["Set-Cookie"])
	}
	if resp, _ := asked(t, client, http.MethodPost, deploySite+"/stile/shop/choice", nil, strings.NewReader(strings.Repeat("x", 1<<17))); resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a choice of 128 KB answers %d", resp.StatusCode)
	}

	d.stop()
	if resp, _ := get(deploySite+"/", nil); resp.StatusCode != http.StatusOK {
		t.Errorf("without Stile the page answers %d", resp.StatusCode)
	}
	if resp, _ := get(script, nil); resp.StatusCode != http.StatusBadGateway {
		t.Errorf("without Stile the script answers %d", resp.StatusCode)
	}
}

// settingOf are the values that a unit gives to a setting.
func settingOf(unit, name string) (values []string) {
	for line := range strings.Lines(unit) {
		if key, value, found := strings.Cut(strings.TrimSpace(line), "="); found && key == name {
			values = append(values, value)
		}
	}
	return values
}

// unitArgs are the arguments that systemd gives to stile.
func unitArgs(t *testing.T) []string {
	t.Helper()
	starts := settingOf(exampleFile(t, "deploy", "stile.service"), "ExecStart")
	if len(starts) != 1 {
		t.Fatalf("the unit starts %q", starts)
	}
	binary, args, _ := strings.Cut(starts[0], " ")
	if filepath.Base(binary) != "stile" {
		t.Fatalf("the unit starts %s", binary)
	}
	return strings.Fields(args)
}

// The unit's own command starts Stile, systemd finds nothing wrong with the unit, and rates it well: an exposure under 1.5
// of 10, where a service that says nothing has 9.6.
func TestDeploySystemd(t *testing.T) {
	t.Parallel()
	unit := exampleFile(t, "deploy", "stile.service")
	serveAs(t, stileBinary, unitArgs(t), t.TempDir()).answers(t)
	for name, want := range map[string]string{"DynamicUser": "yes", "StateDirectory": "stile", "ProtectSystem": "strict", "ProtectHome": "yes", "CapabilityBoundingSet": "", "NoNewPrivileges": "yes"} {
		if got := settingOf(unit, name); !slices.Equal(got, []string{want}) {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	args := unitArgs(t)
	if i := slices.Index(args, "--data"); i < 0 || args[i+1] != "/var/lib/"+settingOf(unit, "StateDirectory")[0] {
		t.Errorf("the data folder is not the unit's state directory: %q", args)
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("skipped: systemd-analyze is not installed. The unit's command was started, and systemd did not read the unit")
	}
	path := filepath.Join(t.TempDir(), "stile.service") // with a program that is there
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(unit, "/usr/local/bin/stile", stileBinary)), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(analyze, "verify", path).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	if out, err := exec.Command(analyze, "security", "--offline=yes", "--no-pager", "--threshold=15", path).CombinedOutput(); err != nil {
		t.Errorf("systemd-analyze security: %v\n%s", err, out)
	}
}

// instruction is a line of a Dockerfile, with those that go on.
type instruction struct{ name, rest string }

func parseDockerfile(text string) (list []instruction) {
	text = strings.ReplaceAll(text, "\\\n", " ")
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			name, rest, _ := strings.Cut(line, " ")
			list = append(list, instruction{strings.ToUpper(name), strings.TrimSpace(rest)})
		}
	}
	return list
}

// last is what the last instruction of a name says, in the stage that is the image.
func last(list []instruction, name string) string {
	for _, i := range slices.Backward(list) {
		if i.name == name {
			return i.rest
		}
		if i.name == "FROM" {
			break
		}
	}
	return ""
}

// execForm reads the words of an instruction; a shell's has none, since the image has no shell.
func execForm(text string) (words []string) {
	if json.Unmarshal([]byte(text), &words) != nil {
		return nil
	}
	return words
}

// lintDockerfile says what is wrong with a Dockerfile whose context is a folder.
func lintDockerfile(text, context string) (wrong []string) {
	list := parseDockerfile(text)
	stages := 0
	for _, i := range list {
		args := strings.Fields(i.rest)
		switch {
		case i.name == "FROM":
			stages++
		case i.name == "ADD":
			wrong = append(wrong, "ADD fetches and unpacks: use COPY")
		case i.name == "COPY" && !strings.HasPrefix(i.rest, "--from="):
			for _, source := range args[:max(len(args)-1, 0)] {
				if _, err := os.Stat(filepath.Join(context, source)); err != nil {
					wrong = append(wrong, "COPY "+source+": there is no such file")
				}
			}
		case i.name == "RUN" && strings.Contains(i.rest, "go build") && (!strings.Contains(i.rest, "CGO_ENABLED=0 ") || !strings.Contains(i.rest, " -trimpath ")):
			wrong = append(wrong, "the binary is not static, or names the build's folders: "+i.rest)
		}
	}
	if stages < 2 {
		wrong = append(wrong, "the image holds what it was built with")
	}
	if uid, _, _ := strings.Cut(last(list, "USER"), ":"); !regexp.MustCompile(`^[1-9][0-9]*$`).MatchString(uid) {
		wrong = append(wrong, fmt.Sprintf("USER is %q: a number that is not 0 lets orchestrators see that it is not root", uid))
	}
	if len(execForm(last(list, "ENTRYPOINT"))) == 0 || len(execForm(last(list, "CMD"))) == 0 {
		wrong = append(wrong, "ENTRYPOINT and CMD need a shell, and the image has none")
	}
	args := execForm(last(list, "CMD"))
	after := func(flag string) string {
		if i := slices.Index(args, flag); i >= 0 && i+1 < len(args) {
			return args[i+1]
		}
		return ""
	}
	if _, port, err := net.SplitHostPort(after("--listen")); err != nil || port != last(list, "EXPOSE") {
		wrong = append(wrong, fmt.Sprintf("EXPOSE is %q, and stile listens on %q", last(list, "EXPOSE"), after("--listen")))
	}
	if after("--data") == "" || after("--data") != last(list, "VOLUME") {
		wrong = append(wrong, fmt.Sprintf("VOLUME is %q, and the data are in %q", last(list, "VOLUME"), after("--data")))
	}
	if check := last(list, "HEALTHCHECK"); check != "" && len(execForm(check[max(strings.Index(check, "CMD")+3, 0):])) == 0 {
		wrong = append(wrong, "HEALTHCHECK needs a shell, and the image has none: "+check)
	}
	return wrong
}

// The rules find what they are there for.
func TestLintDockerfile(t *testing.T) {
	good := exampleFile(t, "deploy", "Dockerfile")
	if wrong := lintDockerfile(good, ".."); len(wrong) > 0 {
		t.Errorf("the Dockerfile: %q", wrong)
	}
	for _, c := range []struct{ change, to, want string }{
		{"USER 65532:65532", "USER root", "USER"},
		{"USER 65532:65532", "USER 0", "USER"},
		{"USER 65532:65532\n", "", "USER"},
		{"COPY banner banner", "COPY baner banner", "COPY baner"},
		{"COPY banner banner", "ADD banner banner", "ADD"},
		{"EXPOSE 8081", "EXPOSE 8080", "EXPOSE"},
		{"VOLUME /data", "VOLUME /var/data", "VOLUME"},
		{"CGO_ENABLED=0 ", "", "static"},
		{"-trimpath ", "", "static"},
		{"FROM scratch\n", "", "built with"},
		{`ENTRYPOINT ["/stile"]`, `ENTRYPOINT /stile`, "ENTRYPOINT"},
		{"VOLUME /data", "VOLUME /data\nHEALTHCHECK --interval=30s CMD wget -q localhost", "HEALTHCHECK"},
	} {
		text := strings.Replace(good, c.change, c.to, 1)
		if wrong := lintDockerfile(text, ".."); text == good || !slices.ContainsFunc(wrong, func(line string) bool { return strings.Contains(line, c.want) }) {
			t.Errorf("with %q in place of %q nothing is said of %s: %q", c.to, c.change, c.want, wrong)
		}
	}
}

// inImage starts a binary as a container would: with the image's files and no others as its root, as the image's user, who
// can write to the volume alone. Only root may do so; elsewhere it is started with the same arguments.
func inImage(t *testing.T, list []instruction, binary string) *deployed {
	t.Helper()
	args := slices.Concat(execForm(last(list, "ENTRYPOINT")), execForm(last(list, "CMD")))
	if os.Getuid() != 0 {
		t.Log("not root: the binary is started outside of what the image holds")
		return serveAs(t, binary, args[1:], t.TempDir())
	}
	var uid, gid uint32
	if _, err := fmt.Sscanf(last(list, "USER"), "%d:%d", &uid, &gid); err != nil {
		t.Fatalf("USER %s: %v", last(list, "USER"), err)
	}
	root, volume := t.TempDir(), last(list, "VOLUME")
	// By another process: a file that is open for writing in this one cannot be started, nor while what it starts holds it.
	err := exec.Command("cp", binary, filepath.Join(root, args[0])).Run()
	if err == nil {
		err = os.MkdirAll(filepath.Join(root, "etc/stile"), 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(root, "etc/stile/stile.yaml"), []byte(exampleFile(t, "deploy", "stile.yaml")), 0o644)
	}
	if err == nil {
		err = os.Mkdir(filepath.Join(root, volume), 0o700)
	}
	if err == nil {
		err = os.Chown(filepath.Join(root, volume), int(uid), int(gid))
	}
	if err != nil {
		t.Fatal(err)
	}
	args[slices.Index(args, "--listen")+1] = "127.0.0.1:0"
	return started(t, &exec.Cmd{
		Path: args[0], Args: args, Dir: "/", Env: []string{},
		SysProcAttr: &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: uid, Gid: gid}},
	})
}

// The binary is built as the Dockerfile builds it, asks for no library, and starts where there is nothing but what
// the image holds. Where an engine answers the image itself is built.
func TestDeployDocker(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: short")
	}
	t.Parallel()
	list := parseDockerfile(exampleFile(t, "deploy", "Dockerfile"))
	i := slices.IndexFunc(list, func(i instruction) bool { return i.name == "RUN" && strings.Contains(i.rest, "go build") })
	if i < 0 {
		t.Fatal("the Dockerfile builds nothing")
	}
	binary := filepath.Join(t.TempDir(), "stile")
	build := exec.Command("sh", "-c", strings.Replace(list[i].rest, "-o /out/stile", "-o "+binary, 1))
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", list[i].rest, err, out)
	}
	file, err := elf.Open(binary)
	if err != nil {
		t.Skipf("skipped: the binary is no Linux program: %v", err)
	}
	defer file.Close()
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("the binary is not static: an empty image has nothing to load it with")
		}
	}
	inImage(t, list, binary).answers(t)

	if err := exec.Command("docker", "version").Run(); err != nil {
		t.Logf("no Docker engine answers (%v): the Dockerfile was linted and its binary started, and the image was not built", err)
		return
	}
	if out, err := exec.Command("docker", "build", "-q", "-f", "../examples/deploy/Dockerfile", "..").CombinedOutput(); err != nil {
		t.Errorf("docker build: %v\n%s", err, out)
	}
}

// compose.yaml takes from the container what it does not need, and publishes it to this machine alone.
func TestDeployCompose(t *testing.T) {
	var file struct {
		Services map[string]struct {
			Build       struct{ Context, Dockerfile string }
			Ports       []string
			Volumes     []string
			ReadOnly    bool `yaml:"read_only"`
			Tmpfs       []string
			CapDrop     []string `yaml:"cap_drop"`
			SecurityOpt []string `yaml:"security_opt"`
			Restart     string
			Grace       string `yaml:"stop_grace_period"`
		}
		Volumes map[string]struct{}
	}
	if err := yaml.UnmarshalWithOptions([]byte(exampleFile(t, "deploy", "compose.yaml")), &file, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	s := file.Services["stile"]
	if _, err := os.Stat(filepath.Join("../examples/deploy", s.Build.Context, s.Build.Dockerfile)); err != nil {
		t.Error(err)
	}
	if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
		t.Errorf("the container may do more than it needs: %+v", s)
	}
	if !slices.Equal(s.Ports, []string{"127.0.0.1:8081:8081"}) {
		t.Errorf("the ports are %q", s.Ports)
	}
	list := parseDockerfile(exampleFile(t, "deploy", "Dockerfile"))
	for _, volume := range s.Volumes {
		from, to, _ := strings.Cut(volume, ":")
		if _, err := os.Stat(filepath.Join("../examples/deploy", from)); err != nil && to != last(list, "VOLUME") {
			t.Errorf("the volume %s: %v", volume, err)
		}
	}
}

// lintCaddyfile says what is wrong with a Caddyfile: braces, and what is published of Stile at an address.
func lintCaddyfile(text, site, stile string) (wrong []string) {
	depth, published := 0, 0
	var stack []string
	matchers := map[string]string{}
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		switch {
		case words[0] == "}":
			if depth--; depth < 0 {
				return append(wrong, "a brace is closed that was not opened")
			}
			stack = stack[:depth]
			continue
		case depth == 0 && words[0] != site:
			wrong = append(wrong, "the site is "+words[0])
		case strings.HasPrefix(words[0], "@"):
			matchers[words[0]] = strings.Join(words[1:], " ")
		case words[0] == "reverse_proxy":
			if published++; len(words) < 2 || words[1] != stile {
				wrong = append(wrong, "it asks "+strings.Join(words[1:], " ")+", and Stile listens on "+stile)
			}
			_, matcher, _ := strings.Cut(stack[len(stack)-1], " ")
			if matchers[matcher] != "path /stile/* /.well-known/gpc.json" {
				wrong = append(wrong, fmt.Sprintf("it publishes %q of Stile", matchers[matcher]))
			}
		}
		if words[len(words)-1] == "{" {
			depth++
			stack = append(stack, strings.Join(words[:len(words)-1], " "))
		}
	}
	if depth != 0 {
		wrong = append(wrong, "a brace is not closed")
	}
	if published != 1 {
		wrong = append(wrong, fmt.Sprintf("Stile is asked in %d places", published))
	}
	return wrong
}

// The Caddyfile publishes what nginx does. Where Caddy is there it says itself whether it can read it.
func TestDeployCaddy(t *testing.T) {
	args := unitArgs(t)
	site, listen := "www.shop.example", args[slices.Index(args, "--listen")+1]
	good := exampleFile(t, "deploy", "Caddyfile")
	if wrong := lintCaddyfile(good, site, listen); len(wrong) > 0 {
		t.Errorf("the Caddyfile: %q", wrong)
	}
	for _, c := range []struct{ change, to string }{
		{"/stile/* ", "/* "},
		{"/stile/* /.well-known/gpc.json", "/stile/* /admin/*"},
		{"127.0.0.1:8081", "127.0.0.1:8080"},
		{"respond 404", "reverse_proxy 127.0.0.1:8081"},
		{"file_server\n\t}", "file_server"},
		{"www.shop.example {", "www.shop.test {"},
		{"handle @stile", "handle"},
	} {
		if text := strings.Replace(good, c.change, c.to, 1); text == good || len(lintCaddyfile(text, site, listen)) == 0 {
			t.Errorf("with %q in place of %q nothing is wrong", c.to, c.change)
		}
	}
	caddy, err := exec.LookPath("caddy")
	if err != nil {
		t.Skip("skipped: Caddy is not installed. The Caddyfile was linted and not started")
	}
	if out, err := exec.Command(caddy, "validate", "--adapter", "caddyfile", "--config", "../examples/deploy/Caddyfile").CombinedOutput(); err != nil {
		t.Errorf("caddy validate: %v\n%s", err, out)
	}
}
