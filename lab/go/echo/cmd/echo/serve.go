package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// drainTime is how long open requests may go on after SIGTERM; held line connections end at once.
const drainTime = 2 * time.Second

// serve answers HTTP on one port and lines on another, until SIGTERM or SIGINT.
func serve(port, linePort string) error {
	pod, err := os.Hostname()
	if err != nil {
		return err
	}
	web, err := net.Listen("tcp", ":"+port)
	if err != nil {
		return err
	}
	lines, err := net.Listen("tcp", ":"+linePort)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: routes(pod)}
	held := &heldConnections{pod: pod, open: map[net.Conn]struct{}{}}
	go held.accept(lines)
	go server.Serve(web)
	fmt.Printf("pod=%s http=%s lines=%s\n", pod, port, linePort)

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	<-stop
	lines.Close()
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	server.Shutdown(ctx)
	held.close()
	return nil
}

// routes answers every path with the pod and the caller; /delay?ms=N waits first.
func routes(pod string) http.Handler {
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, r *http.Request) {
		caller, callerPort, _ := net.SplitHostPort(r.RemoteAddr)
		if strings.Contains(r.Header.Get("Accept"), "application/json") {
			w.Header().Set("Content-Type", "application/json")
			json.NewEncoder(w).Encode(map[string]string{
				"pod": pod, "client": caller, "clientPort": callerPort, "path": r.URL.Path,
			})
			return
		}
		fmt.Fprintf(w, "pod=%s client=%s\n", pod, caller)
	}
	mux.HandleFunc("/", answer)
	mux.HandleFunc("/delay", func(w http.ResponseWriter, r *http.Request) {
		ms, err := strconv.Atoi(r.URL.Query().Get("ms"))
		if err != nil || ms < 0 {
			http.Error(w, "ms: not a number of milliseconds", http.StatusBadRequest)
			return
		}
		time.Sleep(time.Duration(ms) * time.Millisecond)
		answer(w, r)
	})
	return mux
}

// heldConnections answers each line sent on a connection with the pod's name.
type heldConnections struct {
	pod  string
	lock sync.Mutex
	open map[net.Conn]struct{}
}

func (h *heldConnections) accept(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		h.lock.Lock()
		h.open[conn] = struct{}{}
		h.lock.Unlock()
		go h.answer(conn)
	}
}

func (h *heldConnections) answer(conn net.Conn) {
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		if _, err := fmt.Fprintln(conn, h.pod); err != nil {
			break
		}
	}
	h.lock.Lock()
	delete(h.open, conn)
	h.lock.Unlock()
	conn.Close()
}

func (h *heldConnections) close() {
	h.lock.Lock()
	defer h.lock.Unlock()
	for conn := range h.open {
		conn.Close()
	}
}
