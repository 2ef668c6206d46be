package contract

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/machinelearning/armmachinelearning/v4"
)

// What world.yaml holds.
const (
	subscription  = "00000000-0000-0000-0000-000000000001"
	tenant        = "00000000-0000-0000-0000-0000000000aa"
	writer        = "00000000-0000-0000-0000-0000000000c1"
	federated     = "00000000-0000-0000-0000-0000000000c2"
	hurried       = "00000000-0000-0000-0000-0000000000c4"
	secret        = "contract-only-not-a-secret"
	group         = "ml-rg"
	workspace     = "research-ws"
	region        = "westeurope"
	audience      = "https://management.azure.com"
	workspacePath = "/subscriptions/" + subscription + "/resourceGroups/" + group +
		"/providers/Microsoft.MachineLearningServices/workspaces/" + workspace
)

const (
	// Between two looks at an operation: azure-sim's time runs sixty times faster than the wall's.
	pollEvery = 50 * time.Millisecond
	// The longest that anything here may take on a busy machine.
	patience = 2 * time.Minute
)

// azure is a running azure-sim.
type azure struct {
	url       string
	transport *http.Client
}

// newAzure finds the running azure-sim.
func newAzure(t *testing.T) *azure {
	t.Helper()
	url, ca := os.Getenv("AZURE_SIM_URL"), os.Getenv("AZURE_SIM_CA")
	if url == "" || ca == "" {
		t.Fatal("AZURE_SIM_URL and AZURE_SIM_CA (a PEM file) must name a running azure-sim; " +
			"`cargo test -p azureml-tests contract::` starts one")
	}
	pem, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		t.Fatalf("%s holds no certificate", ca)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	return &azure{url: url, transport: &http.Client{Transport: transport}}
}

// options of a client whose every answer is checked against the client's models.
func (a *azure) options(t *testing.T) azcore.ClientOptions {
	return azcore.ClientOptions{
		Cloud: cloud.Configuration{
			ActiveDirectoryAuthorityHost: a.url,
			Services: map[cloud.ServiceName]cloud.ServiceConfiguration{
				cloud.ResourceManager: {Endpoint: a.url, Audience: audience},
			},
		},
		Transport: a.transport,
		// A machine that is busy mustn't make a test wait for minutes; the number of tries stays the client's own.
		Retry:            policy.RetryOptions{RetryDelay: 100 * time.Millisecond},
		PerRetryPolicies: []policy.Policy{&strict{t: t}},
	}
}

// identityOptions are those of a credential: without the check, which knows Azure Resource Manager's answers only.
func (a *azure) identityOptions(t *testing.T) azcore.ClientOptions {
	options := a.options(t)
	options.PerRetryPolicies = nil
	return options
}

// secretOf signs in as a principal with a client secret.
func (a *azure) secretOf(t *testing.T, client, secret string) azcore.TokenCredential {
	t.Helper()
	credential, err := azidentity.NewClientSecretCredential(tenant, client, secret,
		&azidentity.ClientSecretCredentialOptions{ClientOptions: a.identityOptions(t), DisableInstanceDiscovery: true})
	must(t, err)
	return credential
}

// clients of the principal with that credential.
func (a *azure) clients(t *testing.T, credential azcore.TokenCredential, extra ...policy.Policy) *armmachinelearning.ClientFactory {
	t.Helper()
	options := a.options(t)
	options.PerRetryPolicies = append(options.PerRetryPolicies, extra...)
	factory, err := armmachinelearning.NewClientFactory(subscription, credential, &arm.ClientOptions{ClientOptions: options})
	must(t, err)
	return factory
}

// writer's clients: what most tests need.
func (a *azure) writer(t *testing.T, extra ...policy.Policy) *armmachinelearning.ClientFactory {
	t.Helper()
	return a.clients(t, a.secretOf(t, writer, secret), extra...)
}

// admin changes azure-sim behind the API's back.
func (a *azure) admin(t *testing.T, method, path string, body any) {
	t.Helper()
	text, err := json.Marshal(body)
	must(t, err)
	request, err := http.NewRequestWithContext(background(t), method, a.url+"/_sim/"+path, bytes.NewReader(text))
	must(t, err)
	request.Header.Set("Content-Type", "application/json")
	answer, err := a.transport.Do(request)
	must(t, err)
	defer answer.Body.Close()
	if answer.StatusCode >= 300 {
		words, _ := io.ReadAll(answer.Body)
		t.Fatalf("%s /_sim/%s: %s %s", method, path, answer.Status, words)
	}
}

// principal makes one that may do everything, for a test that mustn't disturb the others.
func (a *azure) principal(t *testing.T, client string) azcore.TokenCredential {
	t.Helper()
	roles := []any{map[string]any{"scope": "/subscriptions/" + subscription, "role": "Owner"}}
	a.admin(t, http.MethodPost, "principals/"+client, map[string]any{"tenant": tenant, "secret": secret, "roles": roles})
	return a.secretOf(t, client, secret)
}

// fault strikes the next write with that method to a path that contains a text.
func (a *azure) fault(t *testing.T, method, path string, fault any) {
	t.Helper()
	a.admin(t, http.MethodPost, "faults", map[string]any{
		"match": map[string]any{"method": method, "pathContains": path}, "times": 1, "fault": fault,
	})
}

func background(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// equal fails where a value isn't what it should be.
func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// same fails where an optional value is missing or isn't what it should be.
func same[T comparable](t *testing.T, what string, got *T, want T) {
	t.Helper()
	if got == nil {
		t.Errorf("%s: got nothing, want %v", what, want)
		return
	}
	equal(t, what, *got, want)
}

// refused fails unless the error is the client's own type with that status and code.
func refused(t *testing.T, err error, status int, code string) *azcore.ResponseError {
	t.Helper()
	var answer *azcore.ResponseError
	if !errors.As(err, &answer) {
		t.Fatalf("got %v, want an *azcore.ResponseError with %s", err, code)
	}
	equal(t, "status of the error", answer.StatusCode, status)
	equal(t, "code of the error", answer.ErrorCode, code)
	return answer
}

// ended waits with the client's own poller for an operation.
func ended[T any](t *testing.T, poller *runtime.Poller[T]) T {
	t.Helper()
	result, err := poller.PollUntilDone(background(t), &runtime.PollUntilDoneOptions{Frequency: pollEvery})
	must(t, err)
	return result
}

// failed waits with the client's own poller for an operation that ends badly.
func failed[T any](t *testing.T, poller *runtime.Poller[T], status int, code string) *azcore.ResponseError {
	t.Helper()
	_, err := poller.PollUntilDone(background(t), &runtime.PollUntilDoneOptions{Frequency: pollEvery})
	return refused(t, err, status, code)
}

// pages reads a list to its end: the number of pages and all that is on them.
func pages[P, I any](t *testing.T, pager *runtime.Pager[P], items func(P) []*I) (int, []*I) {
	t.Helper()
	var all []*I
	count := 0
	for pager.More() {
		page, err := pager.NextPage(background(t))
		must(t, err)
		all = append(all, items(page)...)
		if count++; count > 100 {
			t.Fatal("the list has no end")
		}
	}
	return count, all
}

// until asks again and again until it sees what it waits for.
func until(t *testing.T, what string, see func() (bool, string)) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		done, seen := see()
		if done {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for %s, saw %s", patience, what, seen)
		}
		time.Sleep(pollEvery)
	}
}

func computeID(name string) string {
	return fmt.Sprintf("%s/computes/%s", workspacePath, name)
}
