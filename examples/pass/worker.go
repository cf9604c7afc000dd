// A worker of handoff: pass, with the standard library alone. It takes connections out of the queue, which is descriptor 3,
// and serves them, many at a time: each client gets to read who it is, and then its own lines back.
//
//	go build -o worker worker.go
package main

import (
	"bufio"
	"fmt"
	"log"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
)

const queue = 3

// The next connection and what is known about it, or nil when this worker is to end.
func receive() (net.Conn, map[string]string, error) {
	text := make([]byte, 65536)
	control := make([]byte, syscall.CmsgSpace(4))
	var size, controlSize int
	for err := syscall.EINTR; err == syscall.EINTR; {
		var failure error
		size, controlSize, _, _, failure = syscall.Recvmsg(queue, text, control, syscall.MSG_CMSG_CLOEXEC)
		if err, _ = failure.(syscall.Errno); failure != nil && err != syscall.EINTR {
			return nil, nil, failure
		}
	}
	if size == 0 {
		return nil, nil, nil
	}
	messages, err := syscall.ParseSocketControlMessage(control[:controlSize])
	if err != nil || len(messages) != 1 {
		return nil, nil, fmt.Errorf("no descriptor: %v", err)
	}
	descriptors, err := syscall.ParseUnixRights(&messages[0])
	if err != nil {
		return nil, nil, err
	}
	file := os.NewFile(uintptr(descriptors[0]), "connection")
	defer file.Close() // FileConn duplicates it
	connection, err := net.FileConn(file)
	if err != nil {
		return nil, nil, err
	}
	about := map[string]string{}
	for _, line := range strings.Split(strings.TrimSpace(string(text[:size])), "\n") {
		name, value, _ := strings.Cut(line, "=")
		about[name] = value
	}
	return connection, about, nil
}

func serve(connection net.Conn, about map[string]string) {
	defer connection.Close()
	if address, ok := about["REMOTE_ADDR"]; ok {
		fmt.Fprintf(connection, "hello %s %s\n", address, about["REMOTE_PORT"])
	} else {
		fmt.Fprintf(connection, "hello a local client\n")
	}
	lines := bufio.NewReader(connection)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		if _, err = connection.Write([]byte(line)); err != nil {
			return
		}
	}
}

func main() {
	var serving sync.WaitGroup
	for {
		connection, about, err := receive()
		if err != nil {
			log.Print("worker: ", err)
			break
		}
		if connection == nil {
			break // the broker wants this worker to end
		}
		serving.Add(1)
		go func() {
			defer serving.Done()
			serve(connection, about)
		}()
	}
	serving.Wait()
}
