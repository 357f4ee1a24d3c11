package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// A caller is one HTTP client on one connection. It does as little as it can, since it shares the machine with what is
// measured: net/http's own client costs more than the server.
type caller struct {
	addr string
	conn net.Conn
	in   *bufio.Reader
	out  bytes.Buffer
}

// post sends one request and reads the whole answer, which is valid until the next one.
func (c *caller) post(ctx context.Context, path, contentType string, body []byte, more string) (status int, answer []byte, err error) {
	if c.conn == nil {
		var d net.Dialer
		if c.conn, err = d.DialContext(ctx, "tcp", c.addr); err != nil {
			return 0, nil, err
		}
		c.in = bufio.NewReaderSize(c.conn, 16<<10)
	}
	if err := c.conn.SetDeadline(time.Now().Add(maxWait)); err != nil {
		return 0, nil, err
	}
	c.out.Reset()
	fmt.Fprintf(&c.out, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n%s\r\n", path, c.addr, contentType, len(body), more)
	c.out.Write(body)
	if _, err := c.conn.Write(c.out.Bytes()); err != nil {
		return 0, nil, err
	}
	return c.read()
}

func (c *caller) read() (status int, answer []byte, err error) {
	length := -1
	for first := true; ; first = false {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return 0, nil, fmt.Errorf("read answer: %w", err)
		}
		text := bytes.TrimRight(line, "\r\n")
		switch {
		case first:
			if len(text) < 12 {
				return 0, nil, errors.New("answer has no status")
			}
			if status, err = strconv.Atoi(string(text[9:12])); err != nil {
				return 0, nil, fmt.Errorf("read status: %w", err)
			}
		case len(text) == 0:
			if status == 303 || status == 204 || status == 304 {
				length = max(length, 0)
			}
			if length < 0 || length > answerMost {
				return 0, nil, fmt.Errorf("answer %d has no usable length", status)
			}
			answer = make([]byte, length)
			_, err = io.ReadFull(c.in, answer)
			return status, answer, err
		default:
			if name, value, ok := strings.Cut(string(text), ":"); ok && strings.EqualFold(name, "Content-Length") {
				if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
					return 0, nil, fmt.Errorf("read length: %w", err)
				}
			}
		}
	}
}

const boundary = "------------------------d74496d66958873e"

const multipartType = "multipart/form-data; boundary=" + boundary

// multipart writes fields as curl -F does.
func multipart(fields ...string) []byte {
	var b bytes.Buffer
	for i := 0; i+1 < len(fields); i += 2 {
		fmt.Fprintf(&b, "--%s\r\nContent-Disposition: form-data; name=%q\r\n\r\n%s\r\n", boundary, fields[i], fields[i+1])
	}
	fmt.Fprintf(&b, "--%s--\r\n", boundary)
	return b.Bytes()
}
