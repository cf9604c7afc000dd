// A server that takes its sockets by LISTEN_FDS, with the standard library alone. Clients of a stream socket are told its
// name; datagrams are sent back.
//
//	go build -o server server.go
package main

import (
	"fmt"
	"log"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
)

func serveClients(listener net.Listener, name string) {
	for {
		client, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			defer client.Close()
			fmt.Fprintf(client, "%s: served by Go, process %d\n", name, os.Getpid())
		}()
	}
}

func sendBack(socket net.PacketConn) {
	text := make([]byte, 65536)
	for {
		size, peer, err := socket.ReadFrom(text)
		if err != nil {
			log.Fatal(err)
		}
		socket.WriteTo(text[:size], peer)
	}
}

func main() {
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		log.Fatal("server: not socket-activated")
	}
	names := strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	count, _ := strconv.Atoi(os.Getenv("LISTEN_FDS"))

	for i := 0; i < count; i++ {
		file := os.NewFile(uintptr(3+i), names[i])
		kind, err := syscall.GetsockoptInt(3+i, syscall.SOL_SOCKET, syscall.SO_TYPE)
		if err != nil {
			log.Fatal(err)
		}
		// Both duplicate the descriptor.
		if kind == syscall.SOCK_DGRAM {
			socket, err := net.FilePacketConn(file)
			if err != nil {
				log.Fatal(err)
			}
			go sendBack(socket)
		} else {
			listener, err := net.FileListener(file)
			if err != nil {
				log.Fatal(err)
			}
			go serveClients(listener, names[i])
		}
		file.Close()
	}
	select {}
}
