// Generate writes the table of third-party hosts, as package thirdparty reads it, from the list of the npm package
// third-party-web, whose path is its argument.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: generate path/to/entities.json")
		os.Exit(2)
	}
	if err := generate(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

type entity struct {
	Name     string   `json:"name"`
	Category string   `json:"category"`
	Domains  []string `json:"domains"`
}

func generate(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var list []entity
	if err := json.Unmarshal(text, &list); err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	slices.SortFunc(list, func(a, b entity) int { return strings.Compare(a.Name, b.Name) })
	owner := map[string]string{}
	out := bufio.NewWriter(os.Stdout)
	for _, e := range list {
		for i, d := range e.Domains {
			if strings.ContainsAny(d, "\t\n ") || owner[d] != "" {
				return fmt.Errorf("%s of %s cannot be written, or is also that of %s", d, e.Name, owner[d])
			}
			owner[d], e.Domains[i] = e.Name, strings.ToLower(d)
		}
		if strings.ContainsAny(e.Name+e.Category, "\t\n") {
			return errors.New(e.Name + " cannot be written")
		}
		if len(e.Domains) == 0 { // it has some only in other lists
			continue
		}
		slices.Sort(e.Domains)
		fmt.Fprintf(out, "%s\t%s\t%s\n", e.Name, e.Category, strings.Join(e.Domains, " "))
	}
	return out.Flush()
}
