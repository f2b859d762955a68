// go-redis with its ordinary options, six goroutines on its pool. Arguments: write,news,pop PORT NAME.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"gopkg.in/redis.v5"
)

var (
	client *redis.Client
	name   string
	mutex  sync.Mutex
)

func say(what map[string]interface{}) {
	mutex.Lock()
	defer mutex.Unlock()
	json.NewEncoder(os.Stdout).Encode(what)
}

func attempt(work func() error) {
	if err := work(); err != nil {
		say(map[string]interface{}{"failed": err.Error()})
		time.Sleep(20 * time.Millisecond)
	}
}

func add(n int) error {
	if err := client.SAdd(name+":set", n).Err(); err != nil {
		return err
	}
	return client.Incr(name + ":count").Err()
}

func pipe(n int) error {
	_, err := client.Pipelined(func(p *redis.Pipeline) error {
		for i := 0; i < 5; i++ {
			p.SAdd(name+":set", fmt.Sprintf("%d.%d", n, i))
		}
		return nil
	})
	return err
}

func swap(n int) error {
	return client.Watch(func(tx *redis.Tx) error {
		if err := tx.Get(name + ":at").Err(); err != nil && err != redis.Nil {
			return err
		}
		_, err := tx.Pipelined(func(p *redis.Pipeline) error {
			p.Set(name+":at", n, 0)
			p.RPush(name+":log", n)
			return nil
		})
		return err
	}, name+":at")
}

func push(n int) error {
	if err := client.RPush(name+":queue", n).Err(); err != nil {
		return err
	}
	return client.Publish(name+":news", fmt.Sprint(n)).Err()
}

func repeat(kind string, work func(int) error, n int) {
	for ; ; n += 4 {
		attempt(func() error {
			err := work(n)
			if err == nil {
				say(map[string]interface{}{"did": kind, "n": n})
			}
			return err
		})
		time.Sleep(40 * time.Millisecond)
	}
}

func write() {
	names := []string{"add", "pipe", "swap", "push"}
	for i, work := range []func(int) error{add, pipe, swap, push} {
		go repeat(names[i], work, i)
	}
}

func news() {
	pubsub, err := client.Subscribe(name + ":news")
	for {
		attempt(func() error {
			if err != nil {
				return err
			}
			message, err := pubsub.ReceiveMessage()
			if err == nil {
				say(map[string]interface{}{"news": message.Payload})
			}
			return err
		})
	}
}

func pop() {
	for {
		attempt(func() error {
			popped, err := client.BLPop(0, name+":queue").Result()
			if err == nil {
				say(map[string]interface{}{"popped": popped[1]})
			}
			return err
		})
	}
}

func main() {
	client = redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + os.Args[2]})
	name = os.Args[3]
	for _, mode := range strings.Split(os.Args[1], ",") {
		go map[string]func(){"write": write, "news": news, "pop": pop}[mode]()
	}
	select {}
}
