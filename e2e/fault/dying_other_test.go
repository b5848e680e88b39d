//go:build !linux

package fault

import "syscall"

func dying() *syscall.SysProcAttr { return nil }
