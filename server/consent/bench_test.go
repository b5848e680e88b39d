package consent

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkDecide decides a returning visitor's visit, of whom every other category is granted.
func BenchmarkDecide(b *testing.B) {
	for _, tags := range []int{12, 40} {
		b.Run(fmt.Sprintf("%d-tags", tags), func(b *testing.B) {
			s := shop()
			s.Tags = nil
			for i := range tags {
				s.Tags = append(s.Tags, Tag{ID: fmt.Sprintf("tag-%d", i), Name: fmt.Sprintf("Tag %d", i), Category: s.Categories[i%len(s.Categories)].Name})
				if i%8 == 7 {
					s.Tags[i].Needs = []string{s.Tags[i-1].ID}
				}
			}
			var granted []string
			for i := 1; i < len(s.Categories); i += 2 {
				granted = append(granted, s.Categories[i].Name)
			}
			at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
			c, _, err := Parse(map[string][]string{"category": granted}, s, nil)
			if err != nil {
				b.Fatal(err)
			}
			c.Time = at
			v := Visit{Choice: &c, Region: "DE", Now: at.Add(time.Hour)}
			b.ReportAllocs()
			for b.Loop() {
				if d := Decide(s, v); len(d.Tags) != tags {
					b.Fatal("tags without a verdict")
				}
			}
		})
	}
}
