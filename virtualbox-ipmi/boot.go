package main

import (
	"context"
	"fmt"
	"strings"

	"provision-plugins/shared/model"
	"provision-plugins/virtualbox-ipmi/bootonce"
	"provision-plugins/virtualbox-ipmi/vbox"
)

// extradata is what is kept with a VM, by its keys.
type extradata map[string]string

// kept reads what is kept with the VM.
func (s *session) kept(ctx context.Context) (extradata, error) {
	kept, err := s.vm.AllExtraData(ctx, s.id)
	if err != nil {
		return nil, wire(err)
	}
	return kept, nil
}

// waits reports whether a boot override waits.
func (e extradata) waits() bool { return bootonce.State{Pending: e[bootonce.KeyPending]}.Waits() }

// state is what is known of the VM's boot.
func (e extradata) state(info *vbox.Info) bootonce.State {
	return bootonce.State{
		Order: info.Boot, Changed: info.ChangedAt,
		Mutable: info.Idle() && info.State.Word != vbox.WordSaved && info.State.Word != vbox.WordAbortedSaved && !info.EFI(),
		Pending: e[bootonce.KeyPending], Restore: e[bootonce.KeyRestore], Once: e[bootonce.KeyOnce],
	}
}

// maxSteps is more than any way has.
const maxSteps = 20

// advance takes steps until there are none. The lock is held.
func (s *session) advance(ctx context.Context, state bootonce.State, next func(bootonce.State) *bootonce.Step) (bootonce.State, error) {
	waited := state.Pending != ""
	for range maxSteps {
		st := next(state)
		if st == nil {
			if waited && state.Pending == "" {
				remark(ctx, "the boot order was changed while the VM was off, by a stop and a start: it cannot change while a VM runs")
			}
			return state, nil
		}
		if err := s.take(ctx, st); err != nil {
			return state, err
		}
		state = state.Apply(*st)
	}
	return state, model.Errorf(model.Internal, "the boot order of VM %s comes to no rest", s.id)
}

// take takes one step.
func (s *session) take(ctx context.Context, st *bootonce.Step) error {
	if st.Order == nil {
		return wire(s.vm.SetExtraData(ctx, s.id, st.Key, st.Value))
	}
	args := []string{"modifyvm", s.id}
	for i, device := range st.Order {
		args = append(args, fmt.Sprintf("--boot%d", i+1), device)
	}
	_, err := s.vm.Run(ctx, args...)
	return wire(err)
}

// settleBoot brings the boot order of a VM that is off to what it should be. The
// lock is held.
func (s *session) settleBoot(ctx context.Context, info *vbox.Info) error {
	kept, err := s.kept(ctx)
	if err != nil {
		return err
	}
	_, err = s.advance(ctx, kept.state(info), bootonce.Settle)
	return err
}

// BootDevices lists what SetBoot takes. VirtualBox's BIOS has no setup to enter.
func (*session) BootDevices(persistent bool) []model.BootDevice {
	if persistent {
		return []model.BootDevice{model.BootPXE, model.BootDisk}
	}
	return []model.BootDevice{model.BootPXE, model.BootDisk, model.BootCD}
}

// SetBoot sets the boot order of a VM that is off. For one that is not it keeps
// what is asked for until that can be done.
func (s *session) SetBoot(ctx context.Context, device model.BootDevice, persistent bool) error {
	ctx, info, unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if info.EFI() {
		return efiBoot(info)
	}
	step := bootonce.Request(bootonce.Want{Device: bootonce.Word(device), Always: persistent})
	if err := s.take(ctx, &step); err != nil {
		return err
	}
	if info.Idle() {
		return s.settleBoot(ctx, info)
	}
	remark(ctx, "the VM is "+info.State.Word+": it is applied when the VM is next switched off, cycled or on, and not by a reset")
	return nil
}

// efiBoot refuses the boot override of a VM with EFI.
func efiBoot(info *vbox.Info) error {
	return model.Errorf(model.Unsupported,
		"VM %s has firmware %s, which keeps a boot order of its own that VirtualBox neither sets nor tells; use firmware BIOS, or the guest's own tools", info.UUID, info.Firmware)
}

// Boot reads the override.
func (s *session) Boot(ctx context.Context) (model.BootOverride, error) {
	info, err := s.info(ctx)
	if err != nil {
		return model.BootOverride{}, err
	}
	if info.EFI() {
		return model.BootOverride{}, efiBoot(info)
	}
	kept, err := s.kept(ctx)
	if err != nil {
		return model.BootOverride{}, err
	}
	if wantsProof(ctx) {
		s.proveBoot(ctx)
	}
	return kept.state(info).Override(), nil
}

// proveBoot tells what the VM's last start booted from, by its log. A log that
// cannot be read proves nothing.
func (s *session) proveBoot(ctx context.Context) {
	log, err := s.vm.BootLog(ctx, s.id)
	if err != nil {
		remark(ctx, "the VM's log cannot be read: "+wire(err).Error())
		return
	}
	if text := bootText(log); text != "" {
		prove(ctx, text)
	}
}

// bootText is a boot log in words.
func bootText(log *vbox.BootLog) string {
	var tried []string
	for _, a := range log.Attempts {
		text := "Booting from " + a.Word + "..."
		if a.Failed {
			text += " failed"
		}
		tried = append(tried, text)
	}
	if len(tried) == 0 {
		return ""
	}
	const most = 4 // a guest that reboots for ever fills its log
	if n := len(tried); n > most {
		tried = append([]string{tried[0], fmt.Sprintf("(%d more)", n-most)}, tried[n-most+1:]...)
	}
	return "the VM's log of its last start says: " + strings.Join(tried, ", ")
}
