package config

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/vendors"
)

const maxTags = 64

// item is a tag with the places that are still needed once all tags are known.
type item struct {
	tag   consent.Tag
	at    value   // the whole
	named value   // what its id comes from
	needs []value // as the file has them, names or ids
	valid bool    // its id is known
}

// tags reads the tags, and puts each behind those that it needs.
func (r *reader) tags(v value, s *consent.Site) []consent.Tag {
	var items []item
	for _, entry := range v.list(maxTags) {
		f := entry.mapping()
		if !f.ok {
			continue
		}
		var t item
		if f.has("vendor") {
			t = r.vendorTag(f, s)
		} else {
			t = customTag(f, s)
		}
		t.at = entry
		t.needs = f.get("needs").list(maxTags)
		items = append(items, t)
	}
	distinct(items, s.Categories)
	return ordered(items, resolve(items))
}

var separators = regexp.MustCompile(`[^\p{L}\p{N}]+`)

// slug makes a tag's id of its name.
func slug(name string) string {
	return strings.Trim(separators.ReplaceAllString(strings.ToLower(name), "-"), "-")
}

// name reads a tag's name, and the id that it gives the tag.
func (t *item) name(v value) {
	var ok bool
	if t.tag.Name, ok = v.line(64); !ok {
		return
	}
	t.tag.ID, t.named = slug(t.tag.Name), v
	if t.valid = t.tag.ID != ""; !t.valid {
		v.fail("use letters or digits", "%s has nothing to make an id of", quote(t.tag.Name))
	}
}

// distinct reports ids that are there twice, or that name a category: what asks whether "marketing" is allowed has to
// get one answer.
func distinct(items []item, categories []consent.Category) {
	seen := map[string]value{}
	for _, t := range items {
		if !t.valid {
			continue
		}
		if first, again := seen[t.tag.ID]; again {
			t.named.fail("give it a name of its own: name: ...", "its id %q is that of %s already", t.tag.ID, first.path)
			continue
		}
		seen[t.tag.ID] = t.at
		if find(categories, t.tag.ID) != nil {
			t.named.fail("give it another name: name: ...", "its id %q is the name of a category", t.tag.ID)
		}
	}
}

func (r *reader) vendorTag(f fields, s *consent.Site) item {
	known := keys[vendorFile]()
	name := f.get("vendor")
	id, ok := name.line(maxLine)
	vendor := r.vendor(name, id, ok)
	t := item{}
	if f.has("name") {
		t.name(f.get("name"))
	} else if vendor != nil {
		t.tag.ID, t.named, t.valid = vendor.ID, name, true
	}
	category := f.need("category", "nothing runs without one: category: marketing")
	cat := category.category(s.Categories)
	t.tag.Company, _ = f.get("company").line(200)
	t.tag.Policy = f.get("policy").webPage()
	passage := f.passage()
	markup := f.get("markup").boolean(false)
	if vendor == nil {
		f.need("id", "it is the site's account at the vendor")
		return t // which options it takes is not known either
	}
	account, ok := "", true
	if vendor.Account.Pattern != "" {
		account, ok = f.need("id", "it is the site's account at the vendor: "+vendor.Account.Example).literal()
	} else if f.has("id") {
		f.get("id").fail("leave it out", "%s has no accounts", vendor.Name)
		ok = false
	}
	options, fit := vendorOptions(f, vendor, known)
	t.tag.Follows = f.get("signals").follows(slices.Sorted(maps.Keys(vendor.Follows)), s.Categories)
	if ok && account != "" && !matches(vendor.Account.Pattern, account) {
		f.get("id").fail("it looks like "+vendor.Account.Example, "%s is no account at %s", quote(account), vendor.Name)
		fit = false
	}
	delivery := r.delivery(f.get("server"), vendor)
	if !ok || !fit || cat == nil {
		return t
	}
	t.tag.Category = cat.Name
	tag, err := vendor.Tag(t.tag, account, options)
	if err != nil {
		name.fail("", "%v", err)
		return t
	}
	if markup {
		tag.Load = consent.Load{}
	}
	t.tag = tag
	t.passes(passage)
	t.deliver(delivery)
	lintVendor(name, category, vendor, cat)
	return t
}

func (r *reader) vendor(v value, id string, ok bool) *vendors.Vendor {
	if !ok {
		return nil
	}
	var names []string
	if r.opt.Vendors != nil {
		if vendor := r.opt.Vendors.Find(id); vendor != nil {
			return vendor
		}
		for _, known := range r.opt.Vendors.All() {
			names = append(append(names, known.ID), known.Aliases...)
		}
	}
	hint := suggest(id, names)
	if hint == "" {
		hint = "write it as a tag of your own, with script, pixel or inline"
	}
	v.fail(hint, "Stile does not know the vendor %s", quote(id))
	return nil
}

// vendorOptions reads the keys that are the vendor's own.
func vendorOptions(f fields, v *vendors.Vendor, known []string) (options map[string]string, fit bool) {
	options, fit = map[string]string{}, true
	for _, o := range v.Options {
		known = append(known, o.Name)
		at := f.get(o.Name)
		text, ok := at.literal()
		switch {
		case !at.present() && o.Default == "":
			at.fail(v.Name+" needs it: "+o.Name+": "+o.Example, "it is missing")
			fit = false
		case !at.present():
		case !ok:
			fit = false
		case !matches(o.Pattern, text):
			at.fail("it looks like "+o.Example, "%s does not fit %s", quote(text), v.Name)
			fit = false
		default:
			options[o.Name] = text
		}
	}
	for _, key := range keys[customFile]() {
		if at := f.get(key); at.present() && !slices.Contains(known, key) {
			at.fail("leave it out, or leave vendor out", "a vendor's tag takes no %s: Stile knows the vendor's own", key)
			known = append(known, key)
		}
	}
	f.only(known, "")
	return options, fit
}

// matches tells whether a pattern of the library matches from end to end.
func matches(pattern, text string) bool {
	whole, err := regexp.Compile("^(?:" + pattern + ")$")
	return err == nil && whole.MatchString(text)
}
