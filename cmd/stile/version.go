package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/stilehq/stile/banner"
	"github.com/stilehq/stile/server/config"
	"github.com/stilehq/stile/server/vendors"
)

type schemaCommand struct{}

func (schemaCommand) Run(std streams) error {
	library, err := vendors.New()
	if err != nil {
		return fmt.Errorf("reading the vendor library: %w", err)
	}
	_, err = fmt.Fprintf(std.out, "%s\n", config.Schema(config.Options{Vendors: library, Languages: banner.Languages()}))
	return err
}

type versionCommand struct{}

func (versionCommand) Run(std streams) error {
	version := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		version = info.Main.Version
	}
	_, err := fmt.Fprintf(std.out, "stile %s (%s %s/%s)\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
