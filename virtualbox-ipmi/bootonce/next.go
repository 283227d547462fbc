package bootonce

// Step is one change of a VM. It sets one extradata key, removes one, or sets
// the order.
type Step struct {
	// Key and Value are an extradata key and what it is set to, "" to remove it.
	Key, Value string
	// Order is the order to set; nil if the step is about a key.
	Order *Order
}

// Apply returns the state after a step.
func (s State) Apply(st Step) State {
	switch {
	case st.Order != nil:
		s.Order = *st.Order
	case st.Key == KeyPending:
		s.Pending = st.Value
	case st.Key == KeyRestore:
		s.Restore = st.Value
	case st.Key == KeyOnce:
		s.Once = st.Value
	}
	return s
}

// setKey is a step that sets a key, or removes it with "".
func setKey(key, value string) *Step { return &Step{Key: key, Value: value} }

// setOrder is a step that sets the order.
func setOrder(o Order) *Step { return &Step{Order: &o} }

// Request is the one step that records a Want. What is recorded is applied by
// Settle, at once or when the VM is off.
func Request(w Want) Step { return Step{Key: KeyPending, Value: w.String()} }

// Settle returns the next step of a VM that is off: the order of before is
// restored after a boot once, and what is pending is applied. It returns nil
// when nothing is left to do, or when the VM cannot be changed now.
func Settle(s State) *Step {
	if !s.Mutable {
		return nil
	}
	o, set := parseOnce(s.Once)
	switch {
	case s.Once != "" && !set: // written by somebody else
		return setKey(KeyOnce, "")
	case set && o.used(s):
		return restore(s, o)
	case s.Pending != "":
		return apply(s, o, set)
	case set:
		return arm(s, o)
	case s.Restore != "":
		return setKey(KeyRestore, "")
	}
	return nil
}

// restore goes back to the order of before. Who has changed the order meanwhile
// keeps it.
func restore(s State, o once) *Step {
	before, ok := ParseOrder(s.Restore)
	if ok && s.Order == before.With(o.device) && s.Order != before {
		return setOrder(before)
	}
	return setKey(KeyOnce, "")
}

// apply takes one step from what is pending to its being so.
func apply(s State, o once, armed bool) *Step {
	w, ok := parseWant(s.Pending)
	switch {
	case !ok: // written by somebody else
		return setKey(KeyPending, "")
	case w.Always:
		return applyAlways(s, w, armed)
	case armed && o.device == w.Device:
		return setKey(KeyPending, "")
	case armed && s.Restore != s.Order.String():
		return rearm(s, o)
	case s.Restore == s.Order.String():
		return setKey(KeyOnce, once{device: w.Device}.String())
	}
	return setKey(KeyRestore, s.Order.String())
}

// rearm takes one step from one device for the next boot to another: by way of
// the order of before, which is then known for what it is.
func rearm(s State, o once) *Step {
	before, ok := ParseOrder(s.Restore)
	if ok && s.Order == before.With(o.device) {
		return setOrder(before)
	}
	return setKey(KeyRestore, s.Order.String()) // somebody has changed the order: it is what is gone back to
}

// applyAlways takes one step to another order for every boot, which ends one for
// the next boot only.
func applyAlways(s State, w Want, armed bool) *Step {
	base := s.Order
	if before, ok := ParseOrder(s.Restore); ok && armed {
		base = before
	}
	target := base.With(w.Device)
	switch {
	case armed && s.Restore != target.String():
		return setKey(KeyRestore, target.String())
	case s.Order != target:
		return setOrder(target)
	case armed:
		return setKey(KeyOnce, "")
	}
	return setKey(KeyPending, "")
}

// arm takes one step to the order for the next boot.
func arm(s State, o once) *Step {
	before, ok := ParseOrder(s.Restore)
	want := before.With(o.device)
	switch {
	case ok && s.Order == want:
		return nil
	case ok && s.Order == before:
		return setOrder(want)
	}
	return setKey(KeyRestore, s.Order.String()) // somebody has changed the order: it is what is gone back to
}

// Start returns the next step before a VM that is off is started: those of
// Settle, and a mark by which a boot that began is told from one that did not.
func Start(s State) *Step {
	if st := Settle(s); st != nil || !s.Mutable {
		return st
	}
	o, ok := parseOnce(s.Once)
	if !ok {
		return nil
	}
	marked := once{device: o.device, starting: true, mark: s.Changed}
	if marked.mark == "" {
		marked.mark = "unknown"
	}
	if marked.String() == s.Once {
		return nil
	}
	return setKey(KeyOnce, marked.String())
}

// NotStarted returns the step after a start that failed: the next one counts.
func NotStarted(s State) *Step {
	o, ok := parseOnce(s.Once)
	if !ok || !o.starting {
		return nil
	}
	return setKey(KeyOnce, once{device: o.device}.String())
}
