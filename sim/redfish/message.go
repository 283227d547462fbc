package redfish

import (
	"net/http"
	"strings"
)

// message is one of the Base registry (DSP0268), in words of our own.
type message struct{ id, text, severity, resolution string }

// The messages there are. "%1" and "%2" stand for their arguments.
var (
	msgSuccess      = message{"Success", "Done.", "OK", "None."}
	msgMalformed    = message{"MalformedJSON", "The body of the request is no JSON object that can be read.", "Critical", "Send a JSON object."}
	msgNotFound     = message{"ResourceMissingAtURI", "Nothing is at %1.", "Critical", "Ask for what the service links to."}
	msgNotSupported = message{"ActionNotSupported", "%1 is not supported here.", "Critical", "Ask for what the resource lists."}
	msgMissing      = message{"ActionParameterMissing", "The request lacks %1.", "Critical", "Send %1, too."}
	msgNotInList    = message{"PropertyValueNotInList", "%1 is not among the values of %2.", "Warning", "Choose one of the values that are listed."}
	msgWrongType    = message{"PropertyValueTypeError", "%1 is of the wrong type for %2.", "Warning", "Send a value of the right type."}
	msgReadOnly     = message{"PropertyNotWritable", "%1 cannot be written.", "Warning", "Leave it out."}
	msgUnknown      = message{"PropertyUnknown", "There is no property %1.", "Warning", "Leave it out."}
	msgNothing      = message{"NoOperation", "The request changes nothing.", "Warning", "Send a property to change."}
	msgWrongState   = message{"InvalidOperationForSystemState", "%1 is not possible in the present power state.", "Warning", "Look at the power state first."}
	msgNoSession    = message{"NoValidSession", "There is no valid session.", "Critical", "Log in."}
	msgBadLogin     = message{"ResourceAtUriUnauthorized", "User name or password is wrong.", "Critical", "Log in with others."}
	msgForbidden    = message{"InsufficientPrivilege", "The account may not do this.", "Critical", "Use another account."}
	msgFull         = message{"SessionLimitExceeded", "All sessions are taken.", "Critical", "Close one, or wait."}
	msgTooMany      = message{"CreateLimitReachedForResource", "There is no room for another.", "Critical", "Remove one."}
	msgBusy         = message{"ServiceTemporarilyUnavailable", "The service is busy.", "Critical", "Try again later."}
	msgPrecondition = message{"PreconditionFailed", "The resource is another than the If-Match says.", "Critical", "Read it again."}
	msgNoIfMatch    = message{"PreconditionRequired", "The request lacks an If-Match.", "Critical", "Send the ETag that was read."}
	msgInternal     = message{"InternalError", "Something is wrong inside the service.", "Critical", "Try again, or reset the BMC."}
	msgInUse        = message{"ResourceInUse", "The resource is in use.", "Warning", "Free it first."}
	msgAddress      = message{"ResourceAtUriInUnknownFormat", "%1 is no address of an image.", "Critical", "Send a URL."}
)

// info is one element of @Message.ExtendedInfo (DSP0266 §8.5).
func (d *dialect) info(m message, args ...string) map[string]any {
	list := make([]any, len(args))
	text, resolution := m.text, m.resolution
	for i, a := range args {
		list[i] = a
		place := "%" + string(rune('1'+i))
		text = strings.ReplaceAll(text, place, a)
		resolution = strings.ReplaceAll(resolution, place, a)
	}
	e := map[string]any{"MessageId": d.registry + "." + m.id}
	if d.bare {
		if len(args) > 0 {
			e["MessageArgs"] = list
		}
		return e
	}
	e["@odata.type"] = "#Message.v1_1_2.Message"
	e["Message"], e["MessageArgs"] = text, list
	e["Severity"], e["MessageSeverity"], e["Resolution"] = m.severity, m.severity, resolution
	return e
}

// failure is the body of an error.
func (d *dialect) failure(m message, args ...string) map[string]any {
	text := "See the extended information."
	if d.bare {
		text = "See @Message.ExtendedInfo for more information."
	}
	return map[string]any{"error": map[string]any{
		"code": d.code, "message": text,
		"@Message.ExtendedInfo": []any{d.info(m, args...)},
	}}
}

// fail is an answer that refuses.
func (x *exchange) fail(status int, m message, args ...string) answer {
	return answer{status: status, body: x.b.fleet.dialect.failure(m, args...)}
}

// success is an answer to what was done, in the way of the dialect.
func (x *exchange) success(status int) answer {
	d := x.b.fleet.dialect
	if status == http.StatusNoContent {
		return answer{status: status}
	}
	list := []any{d.info(msgSuccess)}
	switch d.wrap {
	case "":
		return answer{status: status, body: map[string]any{"@Message.ExtendedInfo": list}}
	case "error":
		return answer{status: status, body: map[string]any{d.wrap: map[string]any{
			"code": d.code, "message": "See @Message.ExtendedInfo for more information.", "@Message.ExtendedInfo": list,
		}}}
	}
	return answer{status: status, body: map[string]any{d.wrap: map[string]any{
		"code": d.registry + ".Success", "Message": msgSuccess.text, "@Message.ExtendedInfo": list,
	}}}
}
