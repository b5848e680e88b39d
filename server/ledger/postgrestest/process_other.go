//go:build !linux

package postgrestest

import (
	"errors"
	"os/exec"
	"syscall"
)

// supported is false: what follows is never called.
const supported = false

type process struct {
	journal
	cmd   *exec.Cmd
	ended chan struct{}
}

func attributes() *syscall.SysProcAttr { return nil }

func giveAway(string) error { return errors.ErrUnsupported }

func launch(*exec.Cmd, string) (*process, error) { return nil, errors.ErrUnsupported }

func (p *process) hasEnded() bool { return true }

func (p *process) kill() error { return errors.ErrUnsupported }

func (p *process) pause() error { return errors.ErrUnsupported }

func (p *process) resume() error { return errors.ErrUnsupported }

func removeMemory(string) error { return nil }
