// Command echo is the lab's test server: it says which pod answered and who asked.
//
// With no argument it serves; `fetch URL`, `lookup NAME` and `cat FILE` are for
// `kubectl exec` in an image that has nothing else in it.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "echo:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 || args[0] == "serve" {
		return serve(envOr("PORT", "8080"), envOr("LINE_PORT", "9090"))
	}
	if len(args) != 2 {
		return fmt.Errorf("usage: echo [serve | fetch URL | lookup NAME | cat FILE]")
	}
	switch args[0] {
	case "fetch":
		return fetch(args[1])
	case "lookup":
		return lookup(args[1])
	case "cat":
		return cat(args[1])
	}
	return fmt.Errorf("unknown command %q", args[0])
}

func fetch(url string) error {
	client := http.Client{Timeout: 5 * time.Second}
	reply, err := client.Get(url)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	_, err = io.Copy(os.Stdout, reply.Body)
	return err
}

func lookup(name string) error {
	addresses, err := net.LookupHost(name)
	for _, address := range addresses {
		fmt.Println(address)
	}
	return err
}

func cat(path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(content)
	return err
}

func envOr(name, fallback string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return fallback
}
