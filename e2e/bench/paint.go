package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// slowdown is how much slower than this machine's the browser's processor is made: a cheap telephone's.
const slowdown = 4

// paintGoal is the longest that a visitor waits to see that a choice was taken.
const paintGoal = 50 * time.Millisecond

// measurePaint prints how long after a click in the banner the browser paints (interaction to next paint), as the
// browser's own event timing says, in steps of 8 ms.
func measurePaint(ctx context.Context, s settings, binary string) error {
	browser, err := chromium()
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		return err
	}
	shop, err := start(ctx, "http://"+address, binary, "demo", "--listen", address)
	if err != nil {
		return err
	}
	defer shop.stop()
	t := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintf(t, "interaction to next paint, processor slowed %d times, %d clicks each (goal %v)\tmedian\tworst\n", slowdown, s.rounds, paintGoal)
	for _, way := range []struct{ name, button string }{{"accept", "all"}, {"reject", "none"}, {"a bare button that removes itself", ""}} {
		var waits []time.Duration
		for range s.rounds {
			wait, err := click(ctx, browser, shop.address, way.button)
			if err != nil {
				return fmt.Errorf("%s: %w", way.name, err)
			}
			waits = append(waits, wait)
		}
		slices.Sort(waits)
		fmt.Fprintf(t, "%s\t%v\t%v\n", way.name, waits[len(waits)/2], waits[len(waits)-1])
	}
	return t.Flush()
}

func chromium() (string, error) {
	for _, name := range []string{"chromium", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("there is no chromium: make chromium installs it")
}

// click opens the shop as somebody new, clicks a button of the banner, and returns the longest time from one of the
// click's events to the paint after it.
func click(ctx context.Context, browser, address, value string) (time.Duration, error) {
	alloc, end := chromedp.NewExecAllocator(ctx, append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(browser), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(390, 844),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
	)...)
	defer end()
	tab, close := chromedp.NewContext(alloc)
	defer close()
	if err := chromedp.Do(tab, chromedp.Navigate("about:blank")); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(tab, patience)
	defer cancel()
	button := fmt.Sprintf("stile-banner [value=%s]", value)
	const bare = `stile.ready.then(() => {
		const b = document.createElement('button')
		b.id = 'bare'
		b.style = 'position:fixed;top:0;left:0;z-index:2147483646'
		b.textContent = 'x'
		b.onclick = () => (b.remove(), setTimeout(() => document.dispatchEvent(new Event('stile:choice'))))
		document.body.append(b)
	})`
	if _, err := chromedp.Call(ctx, emulation.SetCPUThrottlingRate, emulation.SetCPUThrottlingRateParams{Rate: slowdown}); err != nil {
		return 0, err
	}
	if err := chromedp.Do(ctx,
		chromedp.Navigate(address+"/"), chromedp.WaitVisible("stile-banner [value=all]"),
	); err != nil {
		return 0, err
	}
	if value == "" {
		button = "#bare"
		if _, err := chromedp.Run(ctx, chromedp.Evaluate[any](bare, chromedp.EvalAwaitPromise)); err != nil {
			return 0, err
		}
	}
	const watch = `new Promise(done => {
		window.worst = 0
		new PerformanceObserver(list => {
			for (const e of list.getEntries()) if (e.interactionId) worst = Math.max(worst, e.duration)
		}).observe({type: 'event', durationThreshold: 16})
		requestAnimationFrame(() => setTimeout(done))
	})`
	// The entries come after the paint; two more frames are as good as any sign that it is over.
	const told = `stile.ready.then(() => new Promise(done => document.addEventListener('stile:choice', done, {once: true}))).then(() =>
		new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => done(worst), 100)))))`
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[any](watch, chromedp.EvalAwaitPromise)); err != nil {
		return 0, err
	}
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[any]("window.told = "+told+"; 0")); err != nil {
		return 0, err
	}
	if err := chromedp.Do(ctx, chromedp.Click(button)); err != nil {
		return 0, err
	}
	ms, err := chromedp.Run(ctx, chromedp.Evaluate[float64]("told", chromedp.EvalAwaitPromise))
	return time.Duration(ms * float64(time.Millisecond)), err
}
