package contract

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	ml "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/machinelearning/armmachinelearning/v4"
)

// verbs counts the tries that leave the client, by method and by the status of their answer.
type verbs struct {
	mutex    sync.Mutex
	methods  map[string]int
	statuses map[int]int
	// The waits that Azure asked for.
	waits []string
}

// Do counts a try.
func (v *verbs) Do(request *policy.Request) (*http.Response, error) {
	answer, err := request.Next()
	v.mutex.Lock()
	defer v.mutex.Unlock()
	if v.methods == nil {
		v.methods, v.statuses = map[string]int{}, map[int]int{}
	}
	v.methods[request.Raw().Method]++
	if err == nil {
		v.statuses[answer.StatusCode]++
		if answer.StatusCode == http.StatusTooManyRequests {
			v.waits = append(v.waits, answer.Header.Get("Retry-After"))
		}
	}
	return answer, err
}

func (v *verbs) count(method string) int {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	return v.methods[method]
}

func TestRefusalsAndFailures(t *testing.T) {
	t.Parallel()
	azure := newAzure(t)

	t.Run("a cluster that isn't there is told by a typed error", func(t *testing.T) {
		t.Parallel()
		client := azure.writer(t).NewComputeClient()
		_, err := client.Get(background(t), group, workspace, "absent", nil)
		refused(t, err, 404, "ResourceNotFound")
		_, err = client.BeginUpdate(background(t), group, workspace, "absent", scaleUpdate(0, 1, "PT2M"), nil)
		refused(t, err, 404, "ResourceNotFound")
		_, err = client.BeginCreateOrUpdate(background(t), group, "absent-ws", "any", cluster("Standard_DS2_v2", 0, 1), nil)
		refused(t, err, 404, "ParentResourceNotFound")
	})

	t.Run("a name that Azure doesn't allow is refused", func(t *testing.T) {
		t.Parallel()
		client := azure.writer(t).NewComputeClient()
		_, err := client.BeginCreateOrUpdate(background(t), group, workspace, "ends-in-1", cluster("Standard_DS2_v2", 0, 1), nil)
		var answer = refused(t, err, 400, "ComputeNameNotAvailable")
		if !strings.Contains(answer.Error(), "must be between 3 and 24 characters") {
			t.Error(answer)
		}
	})

	t.Run("a second write during an operation is a conflict", func(t *testing.T) {
		t.Parallel()
		client := azure.writer(t).NewComputeClient()
		azure.fault(t, http.MethodPut, "/computes/contended", "operationNeverEnds")
		_, err := client.BeginCreateOrUpdate(background(t), group, workspace, "contended", cluster("Standard_DS2_v2", 0, 1), nil)
		must(t, err)
		_, err = client.BeginCreateOrUpdate(background(t), group, workspace, "contended", cluster("Standard_DS2_v2", 0, 2), nil)
		refused(t, err, 409, "Conflict")
		_, err = client.BeginUpdate(background(t), group, workspace, "contended", scaleUpdate(0, 2, "PT2M"), nil)
		refused(t, err, 409, "Conflict")
		remove(t, client, "contended")
	})

	t.Run("a field that is fixed is refused", func(t *testing.T) {
		t.Parallel()
		client := azure.writer(t).NewComputeClient()
		create(t, client, "fixed", cluster("Standard_DS2_v2", 0, 1))
		_, err := client.BeginCreateOrUpdate(background(t), group, workspace, "fixed", cluster("Standard_DS3_v2", 0, 1), nil)
		refused(t, err, 400, "PropertyChangeNotAllowed")
	})

	for name, it := range map[string]struct{ size, code, words string }{
		"a size that clusters can't have": {"Standard_B2s", "InvalidPropertyValue", "not a supported VM size"},
		"a family without quota":          {"Standard_NC24ads_A100_v4", "ClusterMinNodesExceedCoreQuota", "vCPU quota of 0"},
	} {
		t.Run(name+" fails the creation", func(t *testing.T) {
			t.Parallel()
			client := azure.writer(t).NewComputeClient()
			cluster := cluster(it.size, 0, 1)
			name := strings.ToLower(it.code)[:12]
			poller, err := client.BeginCreateOrUpdate(background(t), group, workspace, name, cluster, nil)
			must(t, err)
			answer := failed(t, poller, 200, it.code)
			if !strings.Contains(answer.Error(), it.words) {
				t.Error(answer)
			}
			got, err := client.Get(background(t), group, workspace, name, nil)
			must(t, err)
			outer, _ := aml(t, got.ComputeResource)
			same(t, "state", outer.ProvisioningState, ml.ProvisioningStateFailed)
			if len(outer.ProvisioningErrors) != 1 || outer.ProvisioningErrors[0].Error == nil {
				t.Fatalf("errors: %s", text(t, outer))
			}
			same(t, "code", outer.ProvisioningErrors[0].Error.Code, it.code)
			remove(t, client, name)
		})
	}

	t.Run("an update that fails is told by its poller", func(t *testing.T) {
		t.Parallel()
		client := azure.writer(t).NewComputeClient()
		create(t, client, "unlucky", cluster("Standard_DS2_v2", 0, 1))
		azure.fault(t, http.MethodPatch, "/computes/unlucky", map[string]any{
			"operationFails": map[string]any{"code": "InternalServerError", "message": "It broke."},
		})
		poller, err := client.BeginUpdate(background(t), group, workspace, "unlucky", scaleUpdate(0, 2, "PT2M"), nil)
		must(t, err)
		failed(t, poller, 200, "InternalServerError")
		got, err := client.Get(background(t), group, workspace, "unlucky", nil)
		must(t, err)
		outer, inner := aml(t, got.ComputeResource)
		same(t, "state", outer.ProvisioningState, ml.ProvisioningStateFailed)
		same(t, "maximum", inner.ScaleSettings.MaxNodeCount, 1)
	})

	t.Run("a delete overtakes a creation, whose poller says so", func(t *testing.T) {
		t.Parallel()
		client := azure.writer(t).NewComputeClient()
		azure.fault(t, http.MethodPut, "/computes/overtaken", "operationNeverEnds")
		creation, err := client.BeginCreateOrUpdate(background(t), group, workspace, "overtaken", cluster("Standard_DS2_v2", 0, 1), nil)
		must(t, err)
		deletion, err := client.BeginDelete(background(t), group, workspace, "overtaken", ml.UnderlyingResourceActionDelete, nil)
		must(t, err)
		failed(t, creation, 200, "OperationCanceled")
		ended(t, deletion)
	})

	t.Run("a poller is resumed by another client", func(t *testing.T) {
		t.Parallel()
		first := azure.writer(t).NewComputeClient()
		poller, err := first.BeginCreateOrUpdate(background(t), group, workspace, "resumed", cluster("Standard_DS2_v2", 0, 1), nil)
		must(t, err)
		token, err := poller.ResumeToken()
		must(t, err)
		watch := &verbs{}
		second := azure.writer(t, watch).NewComputeClient()
		again, err := second.BeginCreateOrUpdate(background(t), group, workspace, "resumed", ml.ComputeResource{},
			&ml.ComputeClientBeginCreateOrUpdateOptions{ResumeToken: token})
		must(t, err)
		got := ended(t, again)
		same(t, "name", got.Name, "resumed")
		equal(t, "writes", watch.count(http.MethodPut), 0)

		deletion, err := second.BeginDelete(background(t), group, workspace, "resumed", ml.UnderlyingResourceActionDelete, nil)
		must(t, err)
		token, err = deletion.ResumeToken()
		must(t, err)
		deletion, err = first.BeginDelete(background(t), group, workspace, "resumed", ml.UnderlyingResourceActionDelete,
			&ml.ComputeClientBeginDeleteOptions{ResumeToken: token})
		must(t, err)
		ended(t, deletion)
		_, err = first.Get(background(t), group, workspace, "resumed", nil)
		refused(t, err, 404, "ResourceNotFound")
	})

	t.Run("who may not is told by a typed error", func(t *testing.T) {
		t.Parallel()
		client := azure.clients(t, azure.assertionOf(t, goodClaims())).NewComputeClient()
		_, err := client.BeginCreateOrUpdate(background(t), group, workspace, "forbidden", cluster("Standard_DS2_v2", 0, 1), nil)
		refused(t, err, 403, "AuthorizationFailed")
	})

	t.Run("a lock's refusal is told by a typed error", func(t *testing.T) {
		t.Parallel()
		client := azure.writer(t).NewComputeClient()
		create(t, client, "locked", cluster("Standard_DS2_v2", 0, 1))
		azure.admin(t, http.MethodPost, "locks", map[string]any{"name": "keep", "scope": computeID("locked"), "level": "CanNotDelete"})
		_, err := client.BeginDelete(background(t), group, workspace, "locked", ml.UnderlyingResourceActionDelete, nil)
		refused(t, err, 409, "ScopeLocked")
	})

	t.Run("a policy's refusal is told by a typed error", func(t *testing.T) {
		t.Parallel()
		azure.admin(t, http.MethodPost, "policies", map[string]any{
			"name": "no-forbidden-tag", "scope": workspacePath, "effect": "deny",
			"when": []any{map[string]any{"field": "tags.forbidden", "exists": true}},
		})
		body := cluster("Standard_DS2_v2", 0, 1)
		value := "x"
		body.Tags = map[string]*string{"forbidden": &value}
		_, err := azure.writer(t).NewComputeClient().BeginCreateOrUpdate(background(t), group, workspace, "governed", body, nil)
		refused(t, err, 403, "RequestDisallowedByPolicy")
	})
}

func TestLooksAtOperations(t *testing.T) {
	t.Parallel()
	azure := newAzure(t)
	number := 0xf0
	for name, fault := range map[string]any{
		"is throttled":   map[string]any{"status": 429, "code": "TooManyRequests", "retryAfter": 1},
		"fails":          map[string]any{"status": 502, "code": "BadGateway"},
		"is cut off":     "reset",
		"comes too late": map[string]any{"delay": "500ms"},
	} {
		number++
		client := fmt.Sprintf("00000000-0000-0000-0000-0000000000%x", number)
		target := fmt.Sprintf("looked-at-%x", number)
		t.Run("a poller goes on after a look that "+name, func(t *testing.T) {
			t.Parallel()
			computes := azure.clients(t, azure.principal(t, client)).NewComputeClient()
			azure.admin(t, http.MethodPost, "faults", map[string]any{
				"match": map[string]any{"pathContains": "computeOperationsStatus", "principal": client}, "times": 2, "fault": fault,
			})
			made := create(t, computes, target, cluster("Standard_DS2_v2", 0, 1))
			same(t, "name", made.Name, target)
		})
	}

	t.Run("a poller without an operation's address looks at the cluster", func(t *testing.T) {
		t.Parallel()
		client := azure.writer(t).NewComputeClient()
		azure.fault(t, http.MethodPut, "/computes/addressless", "operationUrlLost")
		outer, _ := aml(t, create(t, client, "addressless", cluster("Standard_DS2_v2", 0, 1)))
		same(t, "state", outer.ProvisioningState, ml.ProvisioningStateSucceeded)
	})

	t.Run("another principal without rights may not look", func(t *testing.T) {
		t.Parallel()
		const stranger = "00000000-0000-0000-0000-0000000000e4"
		azure.admin(t, http.MethodPost, "principals/"+stranger, map[string]any{"tenant": tenant, "secret": secret})
		poller, err := azure.writer(t).NewComputeClient().BeginCreateOrUpdate(background(t), group, workspace, "private", cluster("Standard_DS2_v2", 0, 1), nil)
		must(t, err)
		token, err := poller.ResumeToken()
		must(t, err)
		again, err := azure.clients(t, azure.secretOf(t, stranger, secret)).NewComputeClient().BeginCreateOrUpdate(background(t), group, workspace,
			"private", ml.ComputeResource{}, &ml.ComputeClientBeginCreateOrUpdateOptions{ResumeToken: token})
		must(t, err)
		failed(t, again, 403, "AuthorizationFailed")
		ended(t, poller)
	})
}

func TestThrottling(t *testing.T) {
	t.Parallel()
	azure := newAzure(t)

	t.Run("the client waits as it is told, and goes on", func(t *testing.T) {
		t.Parallel()
		watch := &verbs{}
		client := azure.clients(t, azure.secretOf(t, hurried, secret), watch).NewComputeClient()
		for range 50 {
			remove(t, client, "never-was")
			if len(watch.waits) > 0 {
				break
			}
		}
		if watch.statuses[http.StatusTooManyRequests] == 0 {
			t.Fatalf("fifty deletes at once weren't throttled: %v", watch.statuses)
		}
		for _, wait := range watch.waits {
			if wait == "" {
				t.Error("a 429 without Retry-After")
			}
		}
		if watch.statuses[http.StatusNoContent] == 0 {
			t.Errorf("no delete went through: %v", watch.statuses)
		}
	})

	for name, fault := range map[string]any{
		"the provider's own throttling":    map[string]any{"rpThrottle": map[string]any{"retryAfter": 1}},
		"a service that is away":           map[string]any{"status": 503, "code": "ServiceUnavailable", "retryAfter": 1},
		"a wait given as a date":           map[string]any{"status": 429, "code": "TooManyRequests", "retryAfter": map[string]any{"dateIn": 1}},
		"a server's error without a wait":  map[string]any{"status": 500, "code": "InternalServerError"},
		"a gateway that gave up":           map[string]any{"status": 504, "code": "GatewayTimeout"},
		"an object that isn't ready (429)": map[string]any{"retryableError": map[string]any{"retryAfter": 1}},
	} {
		t.Run("the client tries again after "+name, func(t *testing.T) {
			t.Parallel()
			watch := &verbs{}
			client := azure.writer(t, watch).NewComputeClient()
			target := "again-" + strings.NewReplacer(" ", "", "'", "", "(", "", ")", "", "429", "").Replace(name)
			azure.fault(t, http.MethodGet, "/computes/"+target, fault)
			_, err := client.Get(background(t), group, workspace, target, nil)
			refused(t, err, 404, "ResourceNotFound")
			equal(t, "tries", watch.count(http.MethodGet), 2)
		})
	}
}

func TestSigningInFails(t *testing.T) {
	t.Parallel()
	azure := newAzure(t)
	for name, it := range map[string]struct{ client, secret, code string }{
		"a wrong secret":         {writer, "wrong", "AADSTS7000215"},
		"an unknown application": {"00000000-0000-0000-0000-0000000000ff", secret, "AADSTS700016"},
	} {
		t.Run(name+" is told by a typed error", func(t *testing.T) {
			t.Parallel()
			_, err := azure.clients(t, azure.secretOf(t, it.client, it.secret)).NewComputeClient().Get(background(t), group, workspace, "any", nil)
			var answer *azidentity.AuthenticationFailedError
			if !errors.As(err, &answer) {
				t.Fatalf("got %v, want an *azidentity.AuthenticationFailedError", err)
			}
			if !strings.Contains(answer.Error(), it.code) {
				t.Errorf("got %v, want %s", answer, it.code)
			}
		})
	}
	t.Run("a secret that expired is told by a typed error", func(t *testing.T) {
		t.Parallel()
		const expired = "00000000-0000-0000-0000-0000000000e1"
		azure.admin(t, http.MethodPost, "principals/"+expired, map[string]any{"tenant": tenant, "secret": secret, "secretExpired": true})
		_, err := azure.clients(t, azure.secretOf(t, expired, secret)).NewComputeClient().Get(background(t), group, workspace, "any", nil)
		var answer *azidentity.AuthenticationFailedError
		if !errors.As(err, &answer) || !strings.Contains(err.Error(), "AADSTS7000222") {
			t.Errorf("got %v, want AADSTS7000222", err)
		}
	})
	t.Run("a token that was revoked is told by a typed error", func(t *testing.T) {
		t.Parallel()
		const revoked = "00000000-0000-0000-0000-0000000000e2"
		roles := []any{map[string]any{"scope": "/subscriptions/" + subscription, "role": "Reader"}}
		azure.admin(t, http.MethodPost, "principals/"+revoked, map[string]any{"tenant": tenant, "secret": secret, "roles": roles})
		client := azure.clients(t, azure.secretOf(t, revoked, secret)).NewComputeClient()
		_, err := client.Get(background(t), group, workspace, "any", nil)
		refused(t, err, 404, "ResourceNotFound")
		azure.admin(t, http.MethodPost, "principals/"+revoked, map[string]any{"revokeTokens": true})
		_, err = client.Get(background(t), group, workspace, "any", nil)
		refused(t, err, 401, "InvalidAuthenticationToken")
	})
}
