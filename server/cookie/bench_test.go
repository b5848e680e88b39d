package cookie

import "testing"

// BenchmarkDecode is a visit of somebody whom the server does not remember. The keys stand newest first, so that only a
// choice that was signed before a rotation is tried more than once.
func BenchmarkDecode(b *testing.B) {
	for _, c := range []struct {
		name  string
		codec *Codec
	}{
		{"one-key", codec(b, 1)},
		{"third-of-three-keys", codec(b, 3, 2, 1)},
	} {
		value, err := codec(b, 1).Encode("shop", choice())
		if err != nil {
			b.Fatal(err)
		}
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.codec.Decode("shop", value); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	c, v := codec(b, 1), choice()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Encode("shop", v); err != nil {
			b.Fatal(err)
		}
	}
}
