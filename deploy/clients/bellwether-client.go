// Who is the master? Asked of bellwether with Go's standard library.
//
//	go run bellwether-client.go [ask|wait|follow [URL [NAME]]]
//
// ask prints the address once, wait follows it with long polls, follow with the stream of events.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/rand"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

const silence = 45 * time.Second // over the 30 s of a wait, and the 15 s at which a silent stream sends a comment

var transport = &http.Transport{ // no Proxy: one would cut what waits
	DialContext: (&net.Dialer{Timeout: 2 * time.Second}).DialContext, ResponseHeaderTimeout: silence}
var args = []string{"ask", "http://127.0.0.1:8380", "mymaster"}
var lastID, current string
var retryAfter int

// 200, or 503 while there is no master; all else (a limit, a name that nobody knows yet) is an error.
func get(url string, atMost time.Duration) (*http.Response, error) {
	request, err := http.NewRequest("GET", url, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Last-Event-ID", lastID)
	answer, err := (&http.Client{Transport: transport, Timeout: atMost}).Do(request)
	if err == nil && answer.StatusCode != 200 && (answer.StatusCode != 503 || answer.Header.Get("X-Bellwether-Index") == "") {
		answer.Body.Close()
		retryAfter, _ = strconv.Atoi(answer.Header.Get("Retry-After"))
		return nil, fmt.Errorf("%s", answer.Status)
	}
	return answer, err
}

// Here your Redis client would connect anew. Empty: there is no master now.
func tell(address string) {
	if address != "" && address != current {
		fmt.Println(address)
	}
	current = address
}

// Each answer comes when something about the master has changed, or the daemon was started again.
func wait(base, name string) error {
	for query, last := "?format=text", ""; ; {
		answer, err := get(base+"/masters/"+name+query, silence)
		if err != nil {
			return err
		}
		address, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil {
			return err
		} else if answer.StatusCode != 200 {
			address = nil
		}
		if tell(strings.TrimSpace(string(address))); current != "" && args[0] == "ask" {
			os.Exit(0)
		}
		last, query = query, "?format=text&wait=30s&index="+answer.Header.Get("X-Bellwether-Index")+"&instance="+answer.Header.Get("X-Bellwether-Instance")
		if query == last { // nothing new, as when the daemon is about to stop: do not spin
			time.Sleep(time.Duration(rand.Intn(1000)) * time.Millisecond)
		}
	}
}

// A stream that broke off goes on behind the last event that was seen.
func follow(base, name string) error {
	answer, err := get(base+"/events?master="+name, 0)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	watchdog := time.AfterFunc(silence, func() { answer.Body.Close() })
	defer watchdog.Stop()
	var event string
	lines := bufio.NewScanner(answer.Body)
	for ; lines.Scan(); watchdog.Reset(silence) {
		switch field, value, _ := strings.Cut(lines.Text(), ": "); field {
		case "id":
			lastID = value
		case "event":
			event = value
		case "data":
			var master struct{ State, Address string }
			if event != "master" || json.Unmarshal([]byte(value), &master) != nil {
				continue
			} else if master.State != "ok" && master.State != "unverified" {
				master.Address = ""
			}
			tell(master.Address)
		}
	}
	return fmt.Errorf("the stream ended: %v", lines.Err())
}

func main() {
	copy(args, os.Args[1:])
	attempt := map[string]func(base, name string) error{"ask": wait, "wait": wait, "follow": follow}[args[0]]
	if attempt == nil || len(os.Args) > 4 {
		fmt.Fprintln(os.Stderr, "usage: go run bellwether-client.go [ask|wait|follow [URL [NAME]]]")
		os.Exit(2)
	}
	rand.Seed(time.Now().UnixNano())
	for failures := 0; ; { // again and again, with jitter: all clients lose a daemon at the same moment
		began := time.Now()
		log.Print("again soon: ", attempt(args[1], args[2]))
		if time.Since(began) > 5*time.Second {
			failures = 0
		} else if failures < 5 {
			failures++
		}
		time.Sleep(time.Duration(retryAfter)*time.Second + time.Duration(50+rand.Intn(200<<failures))*time.Millisecond)
		retryAfter = 0
	}
}
