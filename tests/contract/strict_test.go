package contract

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/machinelearning/armmachinelearning/v4"
)

// strict is a policy of a client's pipeline that holds each answer to the client's models.
type strict struct{ t *testing.T }

// Do lets the request through and looks at the answer; the client reads it afterwards as if nobody had.
func (s *strict) Do(request *policy.Request) (*http.Response, error) {
	answer, err := request.Next()
	if err != nil {
		return answer, err
	}
	body, err := runtime.Payload(answer)
	if err != nil {
		return answer, err
	}
	raw := request.Raw()
	for _, name := range []string{"x-ms-request-id", "x-ms-correlation-request-id", "Date"} {
		if answer.Header.Get(name) == "" {
			s.t.Errorf("%s %s answered %d without %s", raw.Method, raw.URL.Path, answer.StatusCode, name)
		}
	}
	for _, fault := range judge(raw.Method, raw.URL.Path, answer.StatusCode, body) {
		s.t.Errorf("%s %s answered %d: %s", raw.Method, raw.URL.Path, answer.StatusCode, fault)
	}
	return answer, nil
}

// known is a model of the client, with the fields that Azure is recorded to send beside it.
type known struct {
	path   *regexp.Regexp
	model  func() any
	extras []string
}

// operationStatus is the resource provider contract's body of an Azure-AsyncOperation URL, for which there is no model.
type operationStatus struct {
	ID              *string         `json:"id,omitempty"`
	Name            *string         `json:"name,omitempty"`
	Status          *string         `json:"status,omitempty"`
	StartTime       *time.Time      `json:"startTime,omitempty"`
	EndTime         *time.Time      `json:"endTime,omitempty"`
	PercentComplete *float64        `json:"percentComplete,omitempty"`
	Properties      json.RawMessage `json:"properties,omitempty"`
	Error           *operationError `json:"error,omitempty"`
}

type operationError struct {
	Code    *string `json:"code,omitempty"`
	Message *string `json:"message,omitempty"`
	Target  *string `json:"target,omitempty"`
}

func of[T any]() func() any { return func() any { return new(T) } }

const provider = `/providers/Microsoft\.MachineLearningServices`

// Beside what the client knows of a compute: what is recorded of the service and in no specification, and fields of an
// instance in the specification 2025-12-01.
var computeExtras = []string{
	"properties.provisioningWarnings", "properties.properties.idleTimeBeforeShutdown", "properties.properties.enableSSO",
	"properties.properties.osImageMetadata.osPatchingStatus",
}

func inLists(extras []string) []string {
	var all []string
	for _, extra := range extras {
		all = append(all, "value."+extra)
	}
	return all
}

var models = []known{
	{ends(`/computes/[^/]+`), of[armmachinelearning.ComputeResource](), computeExtras},
	{ends(`/computes`), of[armmachinelearning.PaginatedComputeResourcesList](), inLists(computeExtras)},
	{ends(`/computes/[^/]+/listNodes`), of[armmachinelearning.AmlComputeNodesInformation](), nil},
	{ends(`/workspaces/[^/]+/jobs/[^/]+`), of[armmachinelearning.JobBase](), nil},
	{ends(`/workspaces/[^/]+/jobs`), of[armmachinelearning.JobBaseResourceArmPaginatedResult](), nil},
	// The extra is of the specification 2025-12-01, in which azure-sim answers requests of every version.
	{ends(`/workspaces/[^/]+/listKeys`), of[armmachinelearning.ListWorkspaceKeysResult](), []string{"userStorageArmId"}},
	{ends(provider + `/workspaces/[^/]+`), of[armmachinelearning.Workspace](), []string{"etag"}},
	{ends(provider + `/workspaces`), of[armmachinelearning.WorkspaceListResult](), []string{"value.etag"}},
	{ends(`/locations/[^/]+/usages`), of[armmachinelearning.ListUsagesResult](), nil},
	{ends(`/locations/[^/]+/vmSizes`), of[armmachinelearning.VirtualMachineSizeListResult](), nil},
	{ends(`/locations/[^/]+/quotas`), of[armmachinelearning.ListWorkspaceQuotas](), nil},
	{ends(`/locations/[^/]+/updateQuotas`), of[armmachinelearning.UpdateWorkspaceQuotasResult](), nil},
	{ends(`/locations/[^/]+/(compute|workspace)OperationsStatus/[^/]+`), of[operationStatus](), nil},
}

// Of errors. The provider's own carry many keys that are in no specification; all of these are recorded.
var errorModel = known{nil, of[armmachinelearning.ErrorResponse](), []string{
	"error.severity", "error.referenceCode", "error.detailsUri", "error.debugInfo",
	"error.messageFormat", "error.messageParameters", "error.innerError",
}}

// A result is what the write would have been answered at once, which may be nothing.
var results = ends(`/locations/[^/]+/(mfeOperationResults|computeOperationsResults)/[^/]+`)

func ends(pattern string) *regexp.Regexp { return regexp.MustCompile(`(?i)` + pattern + `$`) }

// judge says what the client's models have against an answer.
func judge(method, path string, status int, body []byte) []string {
	if status == http.StatusAccepted || status == http.StatusNoContent {
		if len(body) > 0 {
			return []string{fmt.Sprintf("a body where none belongs: %s", body)}
		}
		return nil
	}
	if status >= 400 {
		return check(errorModel, body)
	}
	if len(body) == 0 && (method != http.MethodGet || results.MatchString(path)) {
		return nil
	}
	for _, model := range models {
		if model.path.MatchString(path) {
			return check(model, body)
		}
	}
	return []string{"strict_test.go knows no model for this path"}
}

// check decodes a body into the model, encodes it again and tells every difference.
func check(model known, body []byte) []string {
	var raw any
	if err := json.Unmarshal(body, &raw); err != nil {
		return []string{fmt.Sprintf("not JSON: %v", err)}
	}
	typed := model.model()
	again, err := through(raw, typed)
	if err != nil {
		return []string{fmt.Sprintf("the client can't decode it: %v", err)}
	}
	sieve := sieve{model: model, raw: raw}
	sieve.compare(nil, raw, again)
	faults := append(sieve.faults, strangers(reflect.ValueOf(typed), "")...)
	sort.Strings(faults)
	return faults
}

// through decodes a value into a model and gives what the model encodes.
func through(raw, typed any) (any, error) {
	text, err := json.Marshal(raw)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, typed); err != nil {
		return nil, err
	}
	encoded, err := json.Marshal(typed)
	if err != nil {
		return nil, err
	}
	var again any
	return again, json.Unmarshal(encoded, &again)
}

// sieve compares what came with what the model kept.
type sieve struct {
	model  known
	raw    any
	faults []string
}

func (s *sieve) compare(path []any, came, kept any) {
	switch came := came.(type) {
	case map[string]any:
		fields, ok := kept.(map[string]any)
		if !ok {
			s.tell(path, "the client's model keeps %v of an object", kept)
			return
		}
		for key, value := range came {
			here := append(append([]any{}, path...), key)
			held, ok := fields[key]
			switch {
			case s.isExtra(here):
			case value == nil:
				if !s.takes(here) {
					s.tell(here, "the client's model has no such field (it is null here)")
				}
			case !ok:
				s.tell(here, "the client's model has no such field")
			default:
				s.compare(here, value, held)
			}
		}
	case []any:
		items, ok := kept.([]any)
		if !ok || len(items) != len(came) {
			s.tell(path, "the client's model keeps %v of a list of %d", kept, len(came))
			return
		}
		for i, value := range came {
			s.compare(append(append([]any{}, path...), i), value, items[i])
		}
	default:
		if !alike(came, kept) {
			s.tell(path, "%v came, the client understands %v", came, kept)
		}
	}
}

func (s *sieve) tell(path []any, words string, values ...any) {
	s.faults = append(s.faults, dotted(path)+": "+fmt.Sprintf(words, values...))
}

// isExtra tells whether Azure itself sends this field beside the model.
func (s *sieve) isExtra(path []any) bool {
	var names []string
	for _, step := range path {
		if name, ok := step.(string); ok {
			names = append(names, name)
		}
	}
	for _, extra := range s.model.extras {
		if strings.Join(names, ".") == extra {
			return true
		}
	}
	return false
}

// takes tells whether the model has a field that came as null: whether any value in its place is kept.
func (s *sieve) takes(path []any) bool {
	for _, probe := range []any{"probe", 1.0, true, map[string]any{}, []any{}, "2026-01-02T03:04:05Z"} {
		again, err := through(replaced(s.raw, path, probe), s.model.model())
		if err != nil {
			continue
		}
		if _, ok := reach(again, path); ok {
			return true
		}
	}
	return false
}

// replaced is a copy of a value with another one at a path.
func replaced(value any, path []any, with any) any {
	if len(path) == 0 {
		return with
	}
	switch value := value.(type) {
	case map[string]any:
		fields := map[string]any{}
		for key, inner := range value {
			if key == path[0] {
				inner = replaced(inner, path[1:], with)
			}
			fields[key] = inner
		}
		return fields
	case []any:
		items := append([]any{}, value...)
		at := path[0].(int)
		items[at] = replaced(items[at], path[1:], with)
		return items
	}
	return value
}

func reach(value any, path []any) (any, bool) {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			fields, _ := value.(map[string]any)
			inner, ok := fields[step]
			if !ok {
				return nil, false
			}
			value = inner
		case int:
			items, _ := value.([]any)
			if step >= len(items) {
				return nil, false
			}
			value = items[step]
		}
	}
	return value, value != nil
}

// alike compares scalars; an instant may be written in more than one way.
func alike(came, kept any) bool {
	if reflect.DeepEqual(came, kept) {
		return true
	}
	instant := func(value any) (time.Time, bool) {
		text, _ := value.(string)
		at, err := time.Parse(time.RFC3339Nano, text)
		return at, err == nil
	}
	a, isTime := instant(came)
	b, isTimeToo := instant(kept)
	return isTime && isTimeToo && a.Equal(b)
}

func dotted(path []any) string {
	var text bytes.Buffer
	for _, step := range path {
		fmt.Fprintf(&text, ".%v", step)
	}
	return strings.TrimPrefix(text.String(), ".")
}

func TestTheCheckFindsWhatTheClientDoesNotKnow(t *testing.T) {
	const path = workspacePath + "/computes/c"
	for _, it := range []struct {
		name   string
		status int
		body   string
		faults []string
	}{
		{"all is known", 200, `{"name": "c", "tags": {"a": "b"}, "properties": {"computeType": "AmlCompute",
			"createdOn": "2026-01-02T03:04:05.1234567+00:00", "description": null, "provisioningWarnings": {}}}`, nil},
		{"a field too many", 200, `{"name": "c", "colour": "red"}`, []string{"colour: the client's model has no such field"}},
		{"one deep down", 200, `{"properties": {"computeType": "AmlCompute", "properties": {"nodes": 1}}}`,
			[]string{"properties.properties.nodes: the client's model has no such field"}},
		{"a null too many", 200, `{"properties": {"computeType": "AmlCompute", "nodes": null}}`,
			[]string{"properties.nodes: the client's model has no such field (it is null here)"}},
		{"a kind unknown", 200, `{"properties": {"computeType": "AmlCompote"}}`,
			[]string{"Properties.ComputeType: AmlCompote is no ComputeType"}},
		{"a state unknown", 200, `{"properties": {"computeType": "AmlCompute", "provisioningState": "Ready"}}`,
			[]string{"Properties.ProvisioningState: Ready is no ProvisioningState"}},
		{"a number as text", 200, `{"properties": {"computeType": "AmlCompute", "properties": {"currentNodeCount": "1"}}}`,
			[]string{"the client can't decode it"}},
		{"a time that is none", 200, `{"properties": {"computeType": "AmlCompute", "createdOn": "yesterday"}}`,
			[]string{"the client can't decode it"}},
		{"an error", 404, `{"error": {"code": "a", "message": "b", "target": null, "severity": null}}`, nil},
		{"an error with more", 404, `{"error": {"code": "a", "reason": "b"}}`,
			[]string{"error.reason: the client's model has no such field"}},
		{"a body of 202", 202, `{}`, []string{"a body where none belongs"}},
	} {
		t.Run(it.name, func(t *testing.T) {
			found := judge(http.MethodGet, path, it.status, []byte(it.body))
			if len(found) != len(it.faults) {
				t.Fatalf("found %q, want %q", found, it.faults)
			}
			for i, fault := range it.faults {
				if !strings.Contains(found[i], fault) {
					t.Errorf("found %q, want %q", found[i], fault)
				}
			}
		})
	}
	if judge(http.MethodGet, "/subscriptions/x/elsewhere", 200, []byte("{}")) == nil {
		t.Error("a path without a model passed")
	}
}
