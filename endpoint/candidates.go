package endpoint

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// stamp tells whether a file has changed. Two of one size may be put in place
// within one tick of the file system's clock: these are different files.
type stamp struct {
	size  int64
	mod   time.Time
	inode uint64
}

// found is what may be a plugin binary, and why it must not be run.
type found struct {
	info  fs.FileInfo
	fault error
}

// candidates looks at the files of the directory, by their names.
func (d *discovery) candidates(files []fs.DirEntry) map[string]found {
	dirFault := trusted(d.dir)
	here := map[string]found{}
	for _, f := range files {
		path := filepath.Join(d.dir, f.Name())
		info, ok := candidate(path)
		if !ok {
			continue
		}
		fault := dirFault
		if fault == nil {
			fault = trustedFile(path, info)
		}
		if fault == nil {
			fault = d.allowed.Check(path)
		}
		here[f.Name()] = found{info, fault}
	}
	return here
}

// passing reports whether a name is that of a file that somebody is about to put in
// place: hidden, or as dpkg and rpm call what they unpack.
func passing(name string) bool {
	return strings.HasPrefix(name, ".") || strings.Contains(name, ".dpkg-") || strings.Contains(name, ";")
}

// candidate looks at what may be a plugin binary.
func candidate(path string) (fs.FileInfo, bool) {
	info, err := os.Stat(path)
	if err != nil || passing(filepath.Base(path)) || !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
		return nil, false
	}
	return info, true
}

// stampOf is the stamp of a file as it is.
func stampOf(info fs.FileInfo) stamp {
	s := stamp{size: info.Size(), mod: info.ModTime()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		s.inode = st.Ino
	}
	return s
}

// trustedFile refuses a binary that somebody else could change, itself or, where
// it is a link, by its target's directory.
func trustedFile(path string, info fs.FileInfo) error {
	if err := trustedInfo(path, info); err != nil {
		return err
	}
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	return trusted(filepath.Dir(target))
}
