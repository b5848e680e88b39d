package server

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settleTime is how long files must have been left alone before they are read: an editor writes in several steps.
const settleTime = 200 * time.Millisecond

// watch reloads when the configuration changes, until ctx ends; the function that it returns waits for that. Folders are
// watched, not files, since many programs replace a file instead of writing it.
func (s *Server) watch(ctx context.Context) (wait func(), err error) {
	return watch(ctx, s.opts.Config, s.log, func() { _ = s.Reload(ctx) }) // it logs what was wrong
}

func watch(ctx context.Context, config string, log *slog.Logger, reload func()) (wait func(), err error) {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return func() {}, fmt.Errorf("watching files: %w", err)
	}
	folder := config
	if info, err := os.Stat(folder); err == nil && !info.IsDir() {
		folder = filepath.Dir(folder)
	}
	if err := watcher.Add(folder); err != nil {
		_ = watcher.Close()
		return func() {}, fmt.Errorf("watching %s: %w", folder, err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer watcher.Close()
		var due <-chan time.Time
		for {
			select {
			case event := <-watcher.Events:
				if concerns(event) {
					due = time.After(settleTime)
				}
			case err := <-watcher.Errors:
				log.Warn("watching files", "error", err)
			case <-due:
				due = nil
				reload()
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() { <-done }, nil
}

func concerns(event fsnotify.Event) bool {
	if !event.Has(fsnotify.Write | fsnotify.Create | fsnotify.Rename | fsnotify.Remove) {
		return false
	}
	ext := filepath.Ext(event.Name)
	return ext == ".yaml" || ext == ".yml" || filepath.Base(event.Name) == "..data" // a mounted ConfigMap's link
}
