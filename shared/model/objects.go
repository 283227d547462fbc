package model

import "time"

// Validation tells whether an object may be used.
type Validation struct {
	Validated bool
	Available bool
	Errors    []string
}

// Access tells whether an object may be changed.
type Access struct{ ReadOnly bool }

// MetaData is free metadata of an object.
type MetaData struct{ Meta map[string]string }

// Owned names the endpoint an object belongs to.
type Owned struct{ Endpoint string }

// Bundled names the content layer an object came from.
type Bundled struct{ Bundle string }

// Partialed tells that fields were left out on request.
type Partialed struct{ Partial bool }

// PluginProvider is what a plugin binary's define prints. Its key is Name and
// its prefix plugin_providers.
type PluginProvider struct {
	MetaData
	Name             string
	Version          string
	PluginVersion    int
	AutoStart        bool
	HasPublish       bool
	AvailableActions []AvailableAction
	RequiredParams   []string
	OptionalParams   []string
	StoreObjects     map[string]any
	Documentation    string
	Content          string
}

// PluginVersion is the plugin protocol's version, in PluginProvider.
const PluginVersion = 4

// AvailableAction is an action that a plugin offers on objects of one prefix;
// an empty Model means the endpoint itself.
type AvailableAction struct {
	Provider       string
	Model          string
	Command        string
	RequiredParams []string
	OptionalParams []string
}

// Action is the body of an action request to a plugin.
type Action struct {
	Model      any // decoded, or json.RawMessage as it came: Remarshal reads both
	Plugin     string
	Command    string
	CommandSet string
	Params     Params
}

// Event is something that happened to an object.
type Event struct {
	Time      time.Time
	Type      string
	Action    string
	Key       string
	Principal string
	Object    any
	Original  any
}

// Line is one log line of a plugin (digitalrebar/logger).
type Line struct {
	Group         int64
	Seq           int64
	Time          time.Time
	Service       string
	Principal     string
	Level         string
	File          string
	Line          int
	Message       string
	Data          []any
	IgnorePublish bool
}

// Plugin is a configured plugin. Its key is Name and its prefix plugins.
type Plugin struct {
	Validation
	Access
	MetaData
	Owned
	Bundled
	Partialed
	Name          string
	Description   string
	Documentation string
	Params        Params
	Provider      string
	PluginErrors  []string
}

// Param declares a param: its schema, and whether its values are secret. Its
// key is Name and its prefix params.
type Param struct {
	Validation
	Access
	MetaData
	Owned
	Bundled
	Name          string
	Description   string
	Documentation string
	Secure        bool
	Schema        any
}

// Profile is a named set of params. Its key is Name and its prefix profiles.
type Profile struct {
	Validation
	Access
	MetaData
	Owned
	Bundled
	Partialed
	Name          string
	Description   string
	Documentation string
	Params        Params
	Profiles      []string
}

// GlobalProfile is the profile every machine has last.
const GlobalProfile = "global"

// Machine is one machine. Its key is Uuid, its Name is unique and its prefix
// is machines.
type Machine struct {
	Validation
	Access
	MetaData
	Owned
	Bundled
	Partialed
	Name             string
	Description      string
	Uuid             string
	CurrentJob       string
	Address          string
	Stage            string
	BootEnv          string
	Profiles         []string
	Params           Params
	Tasks            []string
	CurrentTask      int
	RetryTaskAttempt int
	TaskErrorStacks  []any
	Runnable         bool
	Secret           string
	OS               string
	HardwareAddrs    []string
	Workflow         string
	Arch             string
	Locked           bool
	Context          string
	Fingerprint      Fingerprint
	Pool             string
	PoolAllocated    bool
	PoolStatus       string
	WorkflowComplete bool
}

// Fingerprint identifies a machine's hardware.
type Fingerprint struct {
	SSNHash         string
	CSNHash         string
	CloudInstanceID string
	SystemUUID      string
	MemoryIds       []string
}

// NewMachine returns a machine with the reference's create defaults, without a
// Uuid.
func NewMachine(name string) *Machine {
	return &Machine{
		Validation:      Validation{Validated: true, Available: true, Errors: []string{}},
		MetaData:        MetaData{Meta: map[string]string{}},
		Name:            name,
		Stage:           "none",
		BootEnv:         "local",
		Profiles:        []string{},
		Params:          Params{},
		Tasks:           []string{},
		CurrentTask:     -1,
		TaskErrorStacks: []any{},
		Runnable:        true,
		HardwareAddrs:   []string{},
		Arch:            "amd64",
		Fingerprint:     Fingerprint{MemoryIds: []string{}},
		Pool:            "default",
		PoolStatus:      "Free",
	}
}

// Info describes an endpoint (GET /info). Most of its JSON names are lower case.
type Info struct {
	Arch       string `json:"arch"`
	Os         string `json:"os"`
	Version    string `json:"version"`
	ID         string `json:"id"`
	LocalID    string `json:"local_id"`
	HaID       string `json:"ha_id"`
	APIPort    int    `json:"api_port"`
	FilePort   int    `json:"file_port"`
	Address    string `json:"address"`
	ServerHost string `json:"server_hostname"`
	Manager    bool   `json:"manager"`
	Services
	HighAvailability
	Stats    []Stat                         `json:"stats"`
	Features []string                       `json:"features"`
	Scopes   map[string]map[string]struct{} `json:"scopes"`
	License  any                            `json:"License"`
	Errors   []string                       `json:"errors"`
	// PluginSandbox says how plugins are confined.
	PluginSandbox string `json:"PluginSandbox,omitempty"`
}

// Services are the network services of the reference that serve machines while
// they boot, in Info.
type Services struct {
	SecureFilePort int  `json:"secure_file_port"`
	DhcpPort       int  `json:"dhcp_port"`
	BinlPort       int  `json:"binl_port"`
	TftpPort       int  `json:"tftp_port"`
	TftpEnabled    bool `json:"tftp_enabled"`
	DhcpEnabled    bool `json:"dhcp_enabled"`
	BinlEnabled    bool `json:"binl_enabled"`
	ProvEnabled    bool `json:"prov_enabled"`
	SecureProv     bool `json:"secure_prov_enabled"`
}

// HighAvailability is what Info says about an endpoint's peers.
type HighAvailability struct {
	HaEnabled        bool           `json:"ha_enabled"`
	HaVirtualAddress string         `json:"ha_virtual_address"`
	HaIsActive       bool           `json:"ha_is_active"`
	HaStatus         string         `json:"ha_status"`
	HaActiveID       string         `json:"ha_active_id"`
	HaPassiveState   []any          `json:"ha_passive_state"`
	ClusterState     map[string]any `json:"ClusterState"`
}

// Stat is one count in Info.
type Stat struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
}

// UserToken is the answer of GET /users/NAME/token.
type UserToken struct {
	Token string
	Info  Info
}

// Content is a content layer: metadata and sections of objects by key.
type Content struct {
	Meta     ContentMeta                          `json:"meta"`
	Sections map[string]map[string]map[string]any `json:"sections"`
}

// ContentMeta is a content layer's metadata.
type ContentMeta struct {
	Name             string
	Version          string `json:",omitempty"`
	Description      string `json:",omitempty"`
	Source           string `json:",omitempty"`
	Documentation    string `json:",omitempty"`
	RequiredFeatures string `json:",omitempty"`
	Prerequisites    string `json:",omitempty"`
	Color            string `json:",omitempty"`
	Icon             string `json:",omitempty"`
	Author           string `json:",omitempty"`
	DisplayName      string `json:",omitempty"`
	License          string `json:",omitempty"`
	Copyright        string `json:",omitempty"`
	CodeSource       string `json:",omitempty"`
	Order            string `json:",omitempty"`
	Tags             string `json:",omitempty"`
	DocURL           string `json:"DocUrl,omitempty"`
	Type             string `json:",omitempty"`
	Writable         bool   `json:",omitempty"`
	Overwritable     bool   `json:",omitempty"`
}
