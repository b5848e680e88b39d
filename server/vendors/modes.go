package vendors

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/stilehq/stile/server/consent"
)

// mode is a file of a consent mode.
type mode struct {
	ID       string
	Follows  yaml.MapSlice  // signal to the category that it follows, in the vendor's order
	Granted  []string       // signals that are always granted
	Settings map[string]any // further values of what is told at first
	Queue    string
	Default  string
	Update   string
	Notes    string
	Sources  []string
}

// Mode returns the consent mode of an id as its vendor means it, or nil.
func (l *Library) Mode(id string) *consent.Mode {
	m := l.modes[id]
	if m == nil {
		return nil
	}
	out := &consent.Mode{
		ID: m.ID, Default: m.Default, Update: m.Update, Queue: m.Queue, Granted: slices.Clone(m.Granted), Settings: m.Settings,
	}
	for _, item := range m.Follows {
		out.Signals = append(out.Signals, consent.ModeSignal{Name: fmt.Sprint(item.Key), Category: fmt.Sprint(item.Value)})
	}
	return out
}

// Modes returns the ids of the consent modes.
func (l *Library) Modes() (ids []string) {
	for id := range l.modes {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func readModes(fsys fs.FS) (map[string]*mode, error) {
	paths, err := fs.Glob(fsys, "modes/*.yaml")
	if err != nil {
		return nil, err
	}
	modes := map[string]*mode{}
	for _, p := range paths {
		data, err := fs.ReadFile(fsys, p)
		if err != nil {
			return nil, err
		}
		f, m := file{name: path.Base(p)}, new(mode)
		if err := f.parse(data, m); err != nil {
			return nil, err
		}
		if want := strings.TrimSuffix(f.name, ".yaml"); m.ID != want {
			return nil, f.errorf("$.id", "id is %q: the file's name makes it %q", m.ID, want)
		}
		for _, body := range []struct{ key, text, needs string }{
			{"default", m.Default, "{defaults}"}, {"update", m.Update, "{signals}"},
		} {
			if !strings.Contains(body.text, body.needs) {
				return nil, f.errorf("$."+body.key, "%s does not use %s", body.key, body.needs)
			}
		}
		modes[m.ID] = m
	}
	return modes, nil
}

// checkMode checks that a vendor's mode is there, and has the signals that the vendor grants.
func (l *Library) checkMode(v *Vendor, f *file) error {
	m := l.Mode(v.Mode)
	switch {
	case v.Mode == "" && len(v.Grants) > 0:
		return f.errorf("$.grants", "grants are signals of a mode: name the mode")
	case v.Mode == "":
		return nil
	case m == nil:
		return f.errorf("$.mode", "mode %q is not known: there are %s", v.Mode, strings.Join(l.Modes(), ", "))
	}
	for i, name := range v.Grants {
		if !slices.ContainsFunc(m.Signals, func(s consent.ModeSignal) bool { return s.Name == name }) {
			return f.errorf(fmt.Sprintf("$.grants[%d]", i), "%q is no signal of %s", name, m.ID)
		}
	}
	return nil
}
