package shop

import (
	"fmt"
	"slices"
)

// Cents is an amount in euro cents.
type Cents int

func (c Cents) String() string { return fmt.Sprintf("€%d.%02d", c/100, c%100) }

// Product is one thing that the shop pretends to sell.
type Product struct {
	Slug   string
	Name   string
	Line   string // what it is, in a line
	Price  Cents
	Tint   string // the colour of the wall behind it: a class of the style sheet
	For    string // gift finder: tea or writing
	Colour string // gift finder: deep or light
	Size   string // gift finder: pocket or table
	Story  []string
	Facts  []Fact
	Film   bool // there is a film of it, which comes from another company
}

// Fact is a measure of a product.
type Fact struct{ Name, Value string }

// find returns the product of that slug.
func find(slug string) (Product, bool) {
	i := slices.IndexFunc(products, func(p Product) bool { return p.Slug == slug })
	if i < 0 {
		return Product{}, false
	}
	return products[i], true
}

var products = []Product{
	{
		Slug: "kettle", Name: "Iron kettle", Line: "Cast iron, 1.2 litres", Price: 8900, Tint: "mist", For: "tea", Colour: "deep", Size: "table",
		Story: []string{
			"A heavy, quiet kettle. The iron takes its time to warm, and then keeps the water hot through a second pot and most of a third.",
			"The beads on its shoulder are pressed into the sand mould one at a time. The copper knob stays cool enough to lift with bare fingers.",
		},
		Facts: []Fact{{"Holds", "1.2 l"}, {"Weight", "1.9 kg"}, {"Hob", "Gas, electric, induction"}},
		Film:  true,
	},
	{
		Slug: "teapot", Name: "Side-handle teapot", Line: "Celadon glaze, 350 ml", Price: 6400, Tint: "sand", For: "tea", Colour: "light", Size: "table",
		Story: []string{
			"Held from the side, poured with a turn of the wrist. The spout was made by someone who has wiped up after other spouts.",
			"A fine clay sieve is built into the wall, so there is nothing to lose in the sink.",
		},
		Facts: []Fact{{"Holds", "350 ml"}, {"Glaze", "Celadon, lead-free"}, {"Made for", "Green and white tea"}},
	},
	{
		Slug: "notebook", Name: "Stitched notebook", Line: "Blank, 160 pages, A5", Price: 1850, Tint: "sky", For: "writing", Colour: "deep", Size: "pocket",
		Story: []string{
			"Five holes, one thread, no glue. It opens flat at every page and stays there while you think.",
			"The paper is smooth on one side and has a little tooth on the other: pen and pencil both get their way.",
		},
		Facts: []Fact{{"Pages", "160, blank"}, {"Paper", "80 g/m², acid-free"}, {"Size", "148 × 210 mm"}},
	},
	{
		Slug: "ink", Name: "Night ink", Line: "Blue-black, 50 ml", Price: 1400, Tint: "blossom", For: "writing", Colour: "deep", Size: "pocket",
		Story: []string{
			"Goes down blue, dries nearly black, and shows a hint of red where the pen paused. It rinses out of a pen with cold water.",
			"The bottle is wide at the foot, because everyone knocks over one bottle of ink in a lifetime, and one is enough.",
		},
		Facts: []Fact{{"Holds", "50 ml"}, {"Dries in", "12 seconds"}, {"Lasts", "About 300 letters"}},
	},
	{
		Slug: "cups", Name: "Two cups", Line: "Porcelain, 120 and 180 ml", Price: 3200, Tint: "straw", For: "tea", Colour: "light", Size: "pocket",
		Story: []string{
			"One white with a blue band, one blue with a row of white stitches. They do not match, and they belong together.",
			"Thin at the lip, thicker at the foot: they are comfortable to hold when they are hot.",
		},
		Facts: []Fact{{"Hold", "120 ml, 180 ml"}, {"Made of", "Porcelain"}, {"Dishwasher", "Yes"}},
	},
	{
		Slug: "pen", Name: "Fountain pen", Line: "Pine green, fine nib", Price: 7200, Tint: "mist", For: "writing", Colour: "deep", Size: "pocket",
		Story: []string{
			"A pen for people who write more than they sign. The nib is fine, springy and forgiving of a left hand.",
			"It takes cartridges, or ink from the bottle through the converter that comes with it.",
		},
		Facts: []Fact{{"Nib", "Steel, fine"}, {"Length", "138 mm closed"}, {"Weight", "21 g"}},
	},
	{
		Slug: "caddy", Name: "Tea caddy", Line: "Paper over tin, 100 g", Price: 2600, Tint: "sky", For: "tea", Colour: "deep", Size: "table",
		Story: []string{
			"Two lids, one inside the other, push the air out as they close. Tea keeps its scent for months, not for days.",
			"The printed paper is lacquered, and turns a little darker where your hand takes it.",
		},
		Facts: []Fact{{"Holds", "100 g of leaves"}, {"Height", "12 cm"}, {"Made of", "Tin, washi paper"}},
	},
	{
		Slug: "letters", Name: "Letter set", Line: "20 sheets, 10 envelopes, wax", Price: 2200, Tint: "straw", For: "writing", Colour: "light", Size: "table",
		Story: []string{
			"Enough paper to say something properly, envelopes that close without a taste, and a stick of wax for the occasion.",
			"The sheets carry no lines. A lined sheet to lay beneath them is in the box.",
		},
		Facts: []Fact{{"Sheets", "20, cream"}, {"Envelopes", "10, rose"}, {"Wax", "Red, one stick"}},
	},
}
