// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
)

// doorsVariable lists the inside addresses that the inherited listeners forward to, in order.
const (
	doorsVariable = "CANARYROLLOUT_CLUSTER_DOORS"
	firstDoor     = 3 // the first file descriptor after the standard ones
)

// doors are listeners in the host's network. A socket stays in the network namespace that it was created in, so a
// process inside that inherits one accepts the host's connections.
type doors struct {
	files   []*os.File
	inside  []string
	outside map[string]string
}

func openDoors(exposed []Expose) (*doors, error) {
	d := &doors{outside: map[string]string{}}
	for _, expose := range exposed {
		listener, err := net.Listen("tcp", expose.Outside)
		if err != nil {
			return nil, fmt.Errorf("exposing %s on the host: %w", expose.Inside, err)
		}
		file, err := listener.(*net.TCPListener).File()
		if err != nil {
			return nil, err
		}
		d.files = append(d.files, file)
		d.inside = append(d.inside, expose.Inside)
		d.outside[expose.Inside] = listener.Addr().String()
		if err := listener.Close(); err != nil { // the file keeps it open
			return nil, err
		}
	}
	return d, nil
}

func (d *doors) environment() ([]string, error) {
	inside, err := json.Marshal(d.inside)
	if err != nil {
		return nil, err
	}
	outside, err := json.Marshal(d.outside)
	if err != nil {
		return nil, err
	}
	return append(os.Environ(), doorsVariable+"="+string(inside), outsideVariable+"="+string(outside)), nil
}

// serveDoors forwards the inherited listeners to the addresses inside until the process ends.
func serveDoors() error {
	var inside []string
	if err := json.Unmarshal([]byte(os.Getenv(doorsVariable)), &inside); err != nil {
		return err
	}
	for i, address := range inside {
		file := os.NewFile(uintptr(firstDoor+i), address)
		listener, err := net.FileListener(file)
		if err != nil {
			return fmt.Errorf("the listener for %s was not inherited: %w", address, err)
		}
		file.Close()
		go forward(listener, address)
	}
	return nil
}

func forward(listener net.Listener, address string) {
	for {
		outer, err := listener.Accept()
		if err != nil {
			return
		}
		go join(outer, address)
	}
}

// join copies in both directions until either side closes.
func join(outer net.Conn, address string) {
	defer outer.Close()
	inner, err := net.Dial("tcp", address)
	if err != nil {
		return // the caller sees a closed connection, as if nothing listened
	}
	defer inner.Close()
	ended := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{outer, inner}, {inner, outer}} {
		go func() {
			_, _ = io.Copy(pair[0], pair[1])
			ended <- struct{}{}
		}()
	}
	<-ended
}
