package packet

import (
	"encoding/hex"
	"hash/fnv"
	"net/http"
	"strings"
	"time"
)

// customIPXE is the operating system that boots what its owner says.
const customIPXE = "custom_ipxe"

// plans, places and systems are what can be had.
var (
	plans = []struct {
		slug, name string
		cpus       int
		memory     string
	}{
		{"baremetal_0", "t1.small.x86", 1, "8GB"},
		{"baremetal_1", "c1.small.x86", 1, "32GB"},
		{"baremetal_2", "m1.xlarge.x86", 2, "256GB"},
		{"c3.small.x86", "c3.small.x86", 1, "32GB"},
		{"c3.medium.x86", "c3.medium.x86", 1, "64GB"},
		{"m3.small.x86", "m3.small.x86", 1, "64GB"},
		{"m3.large.x86", "m3.large.x86", 1, "256GB"},
	}
	places = []struct{ facility, name, metro, metroName, country string }{
		{"ewr1", "Parsippany, NJ", "ny", "New York", "US"},
		{"ny5", "Secaucus, NJ", "ny", "New York", "US"},
		{"sjc1", "Sunnyvale, CA", "sv", "Silicon Valley", "US"},
		{"sv15", "San Jose, CA", "sv", "Silicon Valley", "US"},
		{"da11", "Dallas, TX", "da", "Dallas", "US"},
		{"dc13", "Ashburn, VA", "dc", "Washington DC", "US"},
		{"ams1", "Amsterdam", "am", "Amsterdam", "NL"},
		{"am6", "Amsterdam", "am", "Amsterdam", "NL"},
		{"fr2", "Frankfurt", "fr", "Frankfurt", "DE"},
	}
	systems = []struct{ slug, name, distro, version string }{
		{customIPXE, "Custom iPXE", customIPXE, "1"},
		{"debian_11", "Debian 11", "debian", "11"},
		{"debian_12", "Debian 12", "debian", "12"},
		{"ubuntu_20_04", "Ubuntu 20.04 LTS", "ubuntu", "20.04"},
		{"ubuntu_22_04", "Ubuntu 22.04 LTS", "ubuntu", "22.04"},
		{"rocky_9", "Rocky Linux 9", "rocky", "9"},
		{"centos_8", "CentOS 8", "centos", "8"},
		{"nixos_22_05", "NixOS 22.05", "nixos", "22.05"},
	}
)

var catalogueRoutes = []route{
	{"GET /plans", "list plans", func(c *call) reply { return c.paged("plans", allPlans()) }},
	{"GET /projects/{id}/plans", "list plans", func(c *call) reply { return c.paged("plans", allPlans()) }},
	{"GET /facilities", "list facilities", func(c *call) reply { return c.paged("facilities", allFacilities()) }},
	{"GET /projects/{id}/facilities", "list facilities", func(c *call) reply { return c.paged("facilities", allFacilities()) }},
	{"GET /locations/metros", "list metros", func(c *call) reply { return c.paged("metros", allMetros()) }},
	{"GET /locations/metros/{id}", "read metro", getMetro},
	{"GET /operating-systems", "list operating systems", func(c *call) reply { return c.paged("operating_systems", allSystems()) }},
	{"GET /user", "read user", getUser},
}

// fixedID makes the id of something that every service has.
func fixedID(kind, name string) string {
	h := fnv.New128a()
	_, _ = h.Write([]byte(kind + "/" + name)) // a hash takes everything
	sum := h.Sum(nil)
	text := hex.EncodeToString(sum)
	return text[:8] + "-" + text[8:12] + "-4" + text[13:16] + "-a" + text[17:20] + "-" + text[20:]
}

// planOf is a plan as it is told, nil if there is none of that name.
func planOf(slug string) object {
	for _, p := range plans {
		if slug != p.slug && slug != p.name {
			continue
		}
		id := planID(p.slug)
		return object{
			"id": id, "slug": p.slug, "name": p.name, "description": p.name, "line": "baremetal", "class": p.name,
			"href": "/plans/" + id, "legacy": strings.HasPrefix(p.slug, "baremetal_"), "deployment_types": []string{"on_demand"},
			"specs":   object{"cpus": []object{{"count": p.cpus, "type": "x86"}}, "memory": object{"total": p.memory}},
			"pricing": object{"hour": 0.5}, "available_in": []object{}, "available_in_metros": []object{},
		}
	}
	return nil
}

// allPlans lists the plans.
func allPlans() []object {
	var out []object
	for _, p := range plans {
		out = append(out, planOf(p.slug))
	}
	return out
}

// facilityOf is a facility as it is told, nil if there is none of that code.
func facilityOf(code string) object {
	for _, p := range places {
		if p.facility == code {
			id := fixedID("facility", code)
			return object{
				"id": id, "code": code, "name": p.name, "href": "/facilities/" + id,
				"features": []string{"baremetal", "layer_2"}, "metro": metroOf(p.metro), "address": href("#0688e909-647e-4b21-bdf2-fc056d993fc5"),
			}
		}
	}
	return nil
}

// allFacilities lists the facilities.
func allFacilities() []object {
	var out []object
	for _, p := range places {
		out = append(out, facilityOf(p.facility))
	}
	return out
}

// metroOf is a metro as it is told, nil if there is none of that code.
func metroOf(code string) object {
	for _, p := range places {
		if p.metro == code {
			return object{"id": fixedID("metro", code), "code": code, "name": p.metroName, "country": p.country, "href": "/locations/metros/" + fixedID("metro", code)}
		}
	}
	return nil
}

// allMetros lists the metros.
func allMetros() []object {
	var out []object
	seen := map[string]bool{}
	for _, p := range places {
		if !seen[p.metro] {
			out = append(out, metroOf(p.metro))
		}
		seen[p.metro] = true
	}
	return out
}

// getMetro tells one metro.
func getMetro(c *call) reply {
	for _, m := range allMetros() {
		if m["id"] == c.r.PathValue("id") || m["code"] == c.r.PathValue("id") {
			return ok(m)
		}
	}
	return notFound()
}

// systemOf is an operating system as it is told, nil if there is none of that
// slug.
func systemOf(slug string) object {
	for _, o := range systems {
		if o.slug == slug {
			id := fixedID("os", slug)
			return object{
				"id": id, "slug": slug, "name": o.name, "distro": o.distro, "version": o.version, "href": "/operating-systems/" + id,
				"provisionable_on": []string{"c3.small.x86", "c3.medium.x86", "m3.small.x86", "m3.large.x86", "baremetal_0", "baremetal_1", "baremetal_2"},
				"preinstallable":   false, "pricing": object{}, "licensed": false,
			}
		}
	}
	return nil
}

// allSystems lists the operating systems.
func allSystems() []object {
	var out []object
	for _, o := range systems {
		out = append(out, systemOf(o.slug))
	}
	return out
}

// getUser tells whose key it is.
func getUser(*call) reply {
	id := fixedID("user", "sim")
	return ok(object{
		"id": id, "short_id": id[:8], "first_name": "Sim", "last_name": "User", "full_name": "Sim User",
		"email": "user@example.com", "href": "/users/" + id, "created_at": stamp(time.Unix(0, 0)),
	})
}

// stamp is a time as it is told.
func stamp(at time.Time) string { return at.UTC().Format(time.RFC3339) }

var projectRoutes = []route{
	{"GET /projects", "list projects", listProjects},
	{"POST /projects", "create project", createProject},
	{"GET /projects/{id}", "read project", getProject},
	{"PATCH /projects/{id}", "update project", updateProject},
	{"PUT /projects/{id}", "update project", updateProject},
	{"DELETE /projects/{id}", "delete project", deleteProject},
}

// tell is a project as it is told.
func (p *project) tell() object {
	return object{
		"id": p.ID, "name": p.Name, "href": "/projects/" + p.ID, "created_at": stamp(p.Created), "updated_at": stamp(p.Created),
		"members": []object{}, "devices": []object{}, "ssh_keys": []object{}, "backend_transfer_enabled": false,
	}
}

// listProjects lists those that the caller may see.
func listProjects(c *call) reply {
	var out []object
	for _, p := range c.state.Projects {
		if c.sees(p.ID) {
			out = append(out, p.tell())
		}
	}
	return c.paged("projects", out)
}

// projectHere is the project of the path, nil with the answer to give.
func (c *call) projectHere() (*project, reply) {
	p := c.s.project(c.r.PathValue("id"))
	switch {
	case p == nil:
		return nil, notFound()
	case !c.sees(p.ID):
		return nil, failure(http.StatusForbidden, "You are not authorized to view this project")
	}
	return p, reply{}
}

// getProject tells one.
func getProject(c *call) reply {
	p, refusal := c.projectHere()
	if p == nil {
		return refusal
	}
	return ok(p.tell())
}

// createProject makes one.
func createProject(c *call) reply {
	var in struct{ Name string }
	if c.decode(&in) != nil {
		return badBody()
	}
	if in.Name == "" {
		return invalid("Name can't be blank")
	}
	p := &project{ID: c.s.newID(), Name: in.Name, Created: c.now}
	c.state.Projects = append(c.state.Projects, p)
	return reply{status: http.StatusCreated, body: p.tell()}.done("", "create project")
}

// updateProject renames one.
func updateProject(c *call) reply {
	p, refusal := c.projectHere()
	if p == nil {
		return refusal
	}
	var in struct{ Name *string }
	if c.decode(&in) != nil {
		return badBody()
	}
	if in.Name != nil {
		p.Name = *in.Name
	}
	return ok(p.tell()).done("", "update project")
}

// deleteProject removes one that is empty.
func deleteProject(c *call) reply {
	p, refusal := c.projectHere()
	if p == nil {
		return refusal
	}
	for _, d := range c.state.Devices {
		if d.Project == p.ID {
			return invalid("Cannot delete a project with active devices")
		}
	}
	for i, q := range c.state.Projects {
		if q == p {
			c.state.Projects = append(c.state.Projects[:i], c.state.Projects[i+1:]...)
			break
		}
	}
	return reply{status: http.StatusNoContent}.done("", "delete project")
}

var keyRoutes = []route{
	{"GET /ssh-keys", "list ssh keys", listKeys},
	{"POST /ssh-keys", "create ssh key", createKey},
	{"GET /projects/{id}/ssh-keys", "list ssh keys", listKeys},
	{"POST /projects/{id}/ssh-keys", "create ssh key", createKey},
	{"GET /ssh-keys/{key}", "read ssh key", getKey},
	{"PATCH /ssh-keys/{key}", "update ssh key", updateKey},
	{"DELETE /ssh-keys/{key}", "delete ssh key", deleteKey},
}

// planID is the id of a plan, one for each of its names.
func planID(slug string) string { return fixedID("plan", slug) }
