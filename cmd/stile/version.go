package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/stilehq/stile/server"
	"github.com/stilehq/stile/server/config"
)

type schemaCommand struct{}

func (schemaCommand) Run(std streams) error {
	options, err := server.ConfigOptions()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(std.out, "%s\n", config.Schema(options))
	return err
}

type versionCommand struct{}

func (versionCommand) Run(std streams) error {
	_, err := fmt.Fprintf(std.out, "stile %s (%s %s/%s)\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return info.Main.Version
}
