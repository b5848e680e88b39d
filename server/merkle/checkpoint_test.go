package merkle

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"
)

const origin = "stile/0123456789abcdef0123456789abcdef"

// key is a signer of a name, always the same for the same seed.
func key(t testing.TB, name string, seed byte) (note.Signer, note.Verifier) {
	t.Helper()
	secret, public, err := note.GenerateKey(bytes.NewReader(bytes.Repeat([]byte{seed}, 32)), name)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(public)
	if err != nil {
		t.Fatal(err)
	}
	return signer, verifier
}

func checkpoint() Checkpoint {
	return Checkpoint{
		Origin: origin, Size: 1234, Root: tlog.RecordHash([]byte("some root")),
		Time: time.Date(2026, 11, 1, 9, 30, 0, 250e6, time.UTC),
	}
}

func TestCheckpointForm(t *testing.T) {
	signer, _ := key(t, "stile", 1)
	msg, err := checkpoint().Sign(signer)
	if err != nil {
		t.Fatal(err)
	}
	text, sig, _ := strings.Cut(string(msg), "\n\n")
	want := origin + "\n1234\n" + checkpoint().Root.String() + "\n2026-11-01T09:30:00.250Z"
	if text != want {
		t.Errorf("the text is\n%s\nnot\n%s", text, want)
	}
	if !strings.HasPrefix(sig, "— stile ") || strings.Count(sig, "\n") != 1 || !strings.HasSuffix(sig, "\n") {
		t.Errorf("the signature is %q", sig)
	}
}

func TestCheckpointRoundTrip(t *testing.T) {
	first, firstKey := key(t, "stile", 1)
	second, secondKey := key(t, "stile", 2)
	rapid.Check(t, func(t *rapid.T) {
		c := Checkpoint{
			Origin: rapid.StringMatching(`[a-z.]{1,20}/[0-9a-f]{32}`).Draw(t, "origin"),
			Size:   rapid.Int64Range(1, MaxSize).Draw(t, "size"),
			Root:   tlog.Hash(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "root")),
			Time:   time.UnixMilli(rapid.Int64Range(0, 253402300799999).Draw(t, "time")).UTC(), // to the year 9999
		}
		msg, err := c.Sign(first, second)
		if err != nil {
			t.Fatal(err)
		}
		for _, keys := range []note.Verifiers{note.VerifierList(firstKey), note.VerifierList(secondKey), note.VerifierList(secondKey, firstKey)} {
			got, err := Parse(msg, c.Origin, keys)
			if err != nil || !cmp.Equal(c, got) {
				t.Fatalf("%+v became %+v (%v)", c, got, err)
			}
		}
		if got, err := Unverified(msg); err != nil || !cmp.Equal(c, got) {
			t.Fatalf("%+v became %+v (%v)", c, got, err)
		}
	})
}

// TestAlteredCheckpoint: no bit can be changed, and nothing left out or added.
func TestAlteredCheckpoint(t *testing.T) {
	signer, verifier := key(t, "stile", 1)
	msg, err := checkpoint().Sign(signer)
	if err != nil {
		t.Fatal(err)
	}
	keys := note.VerifierList(verifier)
	taken := func(b []byte) bool { _, err := Parse(b, origin, keys); return err == nil }
	if !taken(msg) {
		t.Fatal("it is refused as it is")
	}
	for i := range msg {
		for bit := range 8 {
			altered := bytes.Clone(msg)
			altered[i] ^= 1 << bit
			if taken(altered) {
				t.Errorf("bit %d of byte %d is altered, and it is taken:\n%s", bit, i, altered)
			}
		}
		if taken(msg[:i]) || taken(msg[i+1:]) || taken(append(bytes.Clone(msg[:i]), msg[i+1:]...)) {
			t.Errorf("it is taken without what is before, at or after byte %d", i)
		}
		for _, more := range []string{"\n", " ", "0", "=", "A"} {
			if taken([]byte(string(msg[:i]) + more + string(msg[i:]))) {
				t.Errorf("%q is added at byte %d, and it is taken", more, i)
			}
		}
	}
}

func TestParseBadInput(t *testing.T) {
	signer, verifier := key(t, "stile", 1)
	other, otherKey := key(t, "stile", 2)
	good, err := checkpoint().Sign(signer)
	if err != nil {
		t.Fatal(err)
	}
	text, sig, _ := strings.Cut(string(good), "\n\n")
	lines := strings.Split(text, "\n")
	signed := func(i int, line string) string {
		changed := append([]string{}, lines...)
		changed[i] = line
		return signNote(t, strings.Join(changed, "\n")+"\n", signer)
	}
	byOther, err := checkpoint().Sign(other)
	if err != nil {
		t.Fatal(err)
	}
	root := checkpoint().Root
	for _, c := range []struct {
		name, msg, want string
	}{
		{"nothing", "", "this is not a checkpoint of Stile's: it is not a text with signatures below it"},
		{"no signature", text + "\n", "it is not a text with signatures below it"},
		{"an HTML page", "<!DOCTYPE html>\n\n<p>Not found\n", "it is not a text with signatures below it"},
		{"not UTF-8", "\xff" + string(good), "it is not a text with signatures below it"},
		{"lines that end as on Windows", strings.ReplaceAll(string(good), "\n", "\r\n"), "it is not a text with signatures below it"},
		{"huge", string(good) + strings.Repeat("— stile "+strings.Repeat("A", 92)+"\n", 99), "it is longer than 8192 bytes"},
		{"signed by another", string(byOther), "the checkpoint is signed by none of the keys given, but by stile+" + fmt.Sprintf("%08x", otherKey.KeyHash())},
		{"altered", strings.Replace(string(good), "1234", "1235", 1), "the checkpoint was altered after it was signed: the signature of key stile+"},
		{"of another log", signed(0, "stile/ffff"), "the checkpoint is of another log (origin stile/ffff, not " + origin + ")"},
		{"an origin that is none", signed(0, "stile two"), `"stile two" is no name for a log`},
		{"no origin", signed(0, ""), `"" is no name for a log`},
		{"an origin with a control character", signed(0, "stile/\u009b"), "is no name for a log"},
		{"no size", signed(1, ""), `its size "" is not a whole number`},
		{"a size beyond numbers", signed(1, "9223372036854775808"), `its size "9223372036854775808" is not a whole number`},
		{"a size that tlog does not count to", signed(1, "9223372036854775807"), "a log has from 0 to 1099511627776 leaves, not 9223372036854775807"},
		{"a negative size", signed(1, "-1"), "a log has from 0 to"},
		{"a size with a zero before", signed(1, "01234"), "written in another way"},
		{"a size with a sign", signed(1, "+1234"), "written in another way"},
		{"a root of nothing for something", signed(1, "0"), "is not the root of an empty log"},
		{"no root", signed(2, ""), `its root "" is not the base64 of 32 bytes`},
		{"a short root", signed(2, base64.StdEncoding.EncodeToString(make([]byte, 31))), "is not the base64 of 32 bytes"},
		{"a root with bits that do not count", signed(2, root.String()[:42]+string(root.String()[42]+1)+"="), "written in another way"},
		{"a root in hexadecimal", signed(2, fmt.Sprintf("%x", root[:])), "is not the base64 of 32 bytes"},
		{"no time", signed(3, ""), `its time "" is not one like 2006-01-02T15:04:05.000Z`},
		{"a time of another zone", signed(3, "2026-11-01T10:30:00.250+01:00"), "is not one like"},
		{"a time in seconds", signed(3, "2026-11-01T09:30:00Z"), "is not one like"},
		{"a time with a comma", signed(3, "2026-11-01T09:30:00,250Z"), "written in another way"},
		{"a day that is not", signed(3, "2026-02-30T09:30:00.250Z"), "is not one like"},
		{"a line more", signed(3, lines[3]+"\nextension"), "it has 5 lines above the signatures, not 4"},
		{"an empty line more", signed(3, lines[3]+"\n"), "it has 5 lines above the signatures, not 4"},
		{"a line less", signNote(t, strings.Join(lines[:3], "\n")+"\n", signer), "it has 3 lines above the signatures, not 4"},
		{"a signature twice", string(good) + sig, "it has a signature twice"},
		{"two signatures of a key", string(good) + strings.Replace(sig, sig[30:32], "zz", 1), "it has two signatures of key stile+"},
		{"a signature with bits that do not count", strings.TrimSuffix(string(good), "=\n") + "x=\n", "it is not a text with signatures below it"},
	} {
		if _, err := Parse([]byte(c.msg), origin, note.VerifierList(verifier)); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := Parse(good, origin, nil); err == nil || !strings.Contains(err.Error(), "signed by none of the keys given") {
		t.Errorf("without keys: %v", err)
	}
	if _, err := Parse(good, origin, note.VerifierList(verifier, verifier)); err == nil || !strings.Contains(err.Error(), "cannot be checked: ambiguous key") {
		t.Errorf("with a key twice: %v", err)
	}
}

func signNote(t *testing.T, text string, signer note.Signer) string {
	t.Helper()
	msg, err := note.Sign(&note.Note{Text: text}, signer)
	if err != nil {
		t.Fatal(err)
	}
	return string(msg)
}

// broken is a key that cannot sign.
type broken struct{ note.Signer }

func (broken) Sign([]byte) ([]byte, error) { return nil, errors.New("the key is gone") }

func TestSignBadInput(t *testing.T) {
	signer, _ := key(t, "stile", 1)
	for _, c := range []struct {
		name    string
		change  func(*Checkpoint)
		signers []note.Signer
		want    string
	}{
		{"no key", func(*Checkpoint) {}, nil, "there is no key"},
		{"a key twice", func(*Checkpoint) {}, []note.Signer{signer, signer}, "it has a signature twice"},
		{"a key that cannot sign", func(*Checkpoint) {}, []note.Signer{broken{signer}}, "the key is gone"},
		{"no origin", func(c *Checkpoint) { c.Origin = "" }, []note.Signer{signer}, "is no name for a log"},
		{"two lines of origin", func(c *Checkpoint) { c.Origin = "a\nb" }, []note.Signer{signer}, "is no name for a log"},
		{"a long origin", func(c *Checkpoint) { c.Origin = strings.Repeat("a", 9000) }, []note.Signer{signer}, "it is longer than 8192 bytes"},
		{"a negative size", func(c *Checkpoint) { c.Size = -1 }, []note.Signer{signer}, "a log has from 0 to"},
		{"too large a size", func(c *Checkpoint) { c.Size = MaxSize + 1 }, []note.Signer{signer}, "a log has from 0 to"},
		{"a root of nothing for something", func(c *Checkpoint) { c.Size = 0 }, []note.Signer{signer}, "is not the root of an empty log"},
		{"no time", func(c *Checkpoint) { c.Time = time.Time{} }, []note.Signer{signer}, "there is no time"},
		{"a time of five digits", func(c *Checkpoint) { c.Time = c.Time.AddDate(9000, 0, 0) }, []note.Signer{signer}, "there is no time"},
	} {
		cp := checkpoint()
		c.change(&cp)
		if msg, err := cp.Sign(c.signers...); err == nil || msg != nil || !strings.HasPrefix(err.Error(), "signing a checkpoint: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	empty := Checkpoint{Origin: origin, Root: Empty().Hash, Time: checkpoint().Time}
	if _, err := empty.Sign(signer); err != nil {
		t.Errorf("an empty log: %v", err)
	}
	elsewhere := checkpoint()
	elsewhere.Time = elsewhere.Time.Add(999 * time.Microsecond).In(time.FixedZone("CET", 3600))
	here, err1 := checkpoint().Sign(signer)
	there, err2 := elsewhere.Sign(signer)
	if err1 != nil || err2 != nil || !bytes.Equal(here, there) {
		t.Errorf("the same millisecond in another zone is signed as\n%s(%v, %v)", there, err1, err2)
	}
}

// FuzzParse: what is taken is what Sign writes. The fuzzer cannot sign, so that the text is signed for it.
func FuzzParse(f *testing.F) {
	signer, verifier := key(f, "stile", 1)
	keys := note.VerifierList(verifier)
	good, err := checkpoint().Sign(signer)
	if err != nil {
		f.Fatal(err)
	}
	text, _, _ := strings.Cut(string(good), "\n\n")
	f.Add(good)
	f.Add([]byte(text))
	f.Add([]byte(strings.Replace(text, "1234", "-0", 1)))
	f.Add([]byte(strings.Replace(text, ".250Z", ",250Z", 1)))
	f.Fuzz(func(t *testing.T, data []byte) {
		if c, err := Unverified(data); err == nil {
			written, err := c.text()
			if err != nil || !bytes.HasPrefix(data, []byte(written+"\n")) {
				t.Errorf("%q is taken for %+v, which is written %q (%v)", data, c, written, err)
			}
		}
		if _, err := Parse(data, origin, keys); err == nil && !bytes.HasPrefix(good, data[:len(text)]) {
			t.Errorf("a signature was forged: %q", data)
		}
		name, _, _ := strings.Cut(string(data), "\n")
		msg, err := note.Sign(&note.Note{Text: string(data) + "\n"}, signer)
		if err != nil {
			t.Fatal(err)
		}
		c, err := Parse(msg, name, keys)
		if err != nil {
			return
		}
		again, err := c.Sign(signer)
		if err != nil || !bytes.Equal(again, msg) {
			t.Errorf("%q is taken, and written %q (%v)", msg, again, err)
		}
	})
}
