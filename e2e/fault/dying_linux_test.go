package fault

import "syscall"

// dying is of a child that dies with the test binary.
func dying() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
