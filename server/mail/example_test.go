package mail_test

import (
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/keys"
	"github.com/stilehq/stile/server/mail"
)

// A mailer that may read the keys of the data folder makes the address of a mail's beacon.
func Example() {
	folder, err := os.MkdirTemp("", "keys")
	if err != nil {
		log.Fatal(err)
	}
	ring, err := keys.Open(folder) // of a data folder: data/keys
	if err != nil {
		log.Fatal(err)
	}
	codec, err := mail.NewCodec(ring.Cookie)
	if err != nil {
		log.Fatal(err)
	}
	site := &consent.Site{Name: "shop", Mail: &consent.Mail{Category: "analytics", Links: []string{"https://www.shop.example"}}}
	link := mail.Link{Kind: mail.Open, Receipt: uuid.MustParse("01938a5c-1c2d-7e3f-8a4b-5c6d7e8f9a0b"), Message: "2026-11"}
	token, err := codec.Mint(site, link, time.Now())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(strings.Replace(mail.Path("shop", mail.Open, token), token, "TOKEN", 1))

	link.Kind, link.To = mail.Click, "https://elsewhere.example/"
	_, err = codec.Mint(site, link, time.Now())
	fmt.Println(err)
	_ = os.RemoveAll(folder)
	// Output:
	// /stile/shop/open/TOKEN.gif
	// to leads to https://elsewhere.example, which is not allowed: add it to mail.links in stile.yaml
}
