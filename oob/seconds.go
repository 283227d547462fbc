package main

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"
)

// seconds is a flag that takes a duration, or a number of seconds.
type seconds time.Duration

// String is the flag's text form.
func (s *seconds) String() string {
	if *s == 0 {
		return ""
	}
	return time.Duration(*s).String()
}

// Type is the flag's word in help texts.
func (*seconds) Type() string { return "DURATION" }

// longest bounds what the flag takes.
const longest = 24 * time.Hour

// Set reads "90", "1.5" or "1m30s".
func (s *seconds) Set(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil {
		if d, err = time.ParseDuration(text + "s"); err != nil {
			return errors.New("want a duration such as 90s or 2m")
		}
	}
	if d < time.Millisecond || d > longest {
		return errors.New("want at least 1ms and at most 24h")
	}
	*s = seconds(d)
	return nil
}

// number is the value as a param that counts seconds.
func (s seconds) number() json.Number {
	text := strconv.FormatFloat(time.Duration(s).Seconds(), 'f', 3, 64)
	return json.Number(strings.TrimRight(strings.TrimRight(text, "0"), "."))
}
