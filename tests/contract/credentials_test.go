package contract

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// goodClaims are those that contract-federated trusts.
func goodClaims() map[string]any {
	return map[string]any{
		"iss": "https://contract.example", "sub": "system:serviceaccount:team-a:trainer",
		"aud": "api://AzureADTokenExchange", "exp": time.Now().Add(time.Hour).Unix(),
	}
}

// newKey is one with which a cluster would sign its service accounts' tokens.
func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return key
}

// serviceAccountToken is a token as Kubernetes would project it.
func serviceAccountToken(t *testing.T, key *ecdsa.PrivateKey, claims map[string]any) string {
	t.Helper()
	part := func(value map[string]any) string {
		encoded, err := json.Marshal(value)
		must(t, err)
		return base64.RawURLEncoding.EncodeToString(encoded)
	}
	signed := part(map[string]any{"alg": "ES256", "typ": "JWT", "kid": "contract"}) + "." + part(claims)
	digest := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	must(t, err)
	signature := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// assertionOf signs in as contract-federated with a token of those claims.
func (a *azure) assertionOf(t *testing.T, claims map[string]any) azcore.TokenCredential {
	t.Helper()
	return a.tokenOf(t, federated, serviceAccountToken(t, newKey(t), claims))
}

// tokenOf signs in as that principal with a token of another issuer.
func (a *azure) tokenOf(t *testing.T, client, token string) azcore.TokenCredential {
	t.Helper()
	credential, err := azidentity.NewClientAssertionCredential(tenant, client,
		func(context.Context) (string, error) { return token, nil },
		&azidentity.ClientAssertionCredentialOptions{ClientOptions: a.identityOptions(t), DisableInstanceDiscovery: true})
	must(t, err)
	return credential
}

func TestSigningIn(t *testing.T) {
	azure := newAzure(t)
	read := func(t *testing.T, credential azcore.TokenCredential) {
		t.Helper()
		got, err := azure.clients(t, credential).NewWorkspacesClient().Get(background(t), group, workspace, nil)
		must(t, err)
		same(t, "name", got.Name, workspace)
	}

	t.Run("with a client secret", func(t *testing.T) {
		t.Parallel()
		read(t, azure.secretOf(t, writer, secret))
	})

	t.Run("with a client's assertion", func(t *testing.T) {
		t.Parallel()
		read(t, azure.assertionOf(t, goodClaims()))
	})

	t.Run("with a workload's identity", func(t *testing.T) {
		t.Parallel()
		file := filepath.Join(t.TempDir(), "token")
		must(t, os.WriteFile(file, []byte(serviceAccountToken(t, newKey(t), goodClaims())), 0o600))
		credential, err := azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
			ClientOptions: azure.identityOptions(t), ClientID: federated, TenantID: tenant, TokenFilePath: file,
			DisableInstanceDiscovery: true,
		})
		must(t, err)
		read(t, credential)
	})

	for name, it := range map[string]struct {
		claim string
		value any
		code  string
	}{
		"of another issuer":   {"iss", "https://elsewhere.example", "AADSTS700211"},
		"of another subject":  {"sub", "system:serviceaccount:team-b:trainer", "AADSTS700213"},
		"of another audience": {"aud", "https://kubernetes.default.svc", "AADSTS700212"},
		"that expired":        {"exp", time.Now().Add(-time.Hour).Unix(), "AADSTS700024"},
	} {
		t.Run("but not with an assertion "+name, func(t *testing.T) {
			t.Parallel()
			claims := goodClaims()
			claims[it.claim] = it.value
			_, err := azure.clients(t, azure.assertionOf(t, claims)).NewWorkspacesClient().Get(background(t), group, workspace, nil)
			var answer *azidentity.AuthenticationFailedError
			if !errors.As(err, &answer) || !strings.Contains(err.Error(), it.code) {
				t.Errorf("got %v, want %s", err, it.code)
			}
		})
	}

	t.Run("with an assertion that the issuer's key signed, and no other", func(t *testing.T) {
		t.Parallel()
		const trusting = "00000000-0000-0000-0000-0000000000e6"
		key := newKey(t)
		point, err := key.PublicKey.Bytes()
		must(t, err)
		part := base64.RawURLEncoding.EncodeToString
		jwks := map[string]any{"keys": []any{map[string]any{
			"kty": "EC", "crv": "P-256", "kid": "contract", "x": part(point[1:33]), "y": part(point[33:]),
		}}}
		claims := goodClaims()
		azure.admin(t, http.MethodPost, "principals/"+trusting, map[string]any{
			"tenant":    tenant,
			"federated": []any{map[string]any{"issuer": claims["iss"], "subject": claims["sub"], "jwks": jwks}},
			"roles":     []any{map[string]any{"scope": "/subscriptions/" + subscription, "role": "Reader"}},
		})
		read(t, azure.tokenOf(t, trusting, serviceAccountToken(t, key, claims)))
		forged := azure.tokenOf(t, trusting, serviceAccountToken(t, newKey(t), claims))
		_, err = azure.clients(t, forged).NewWorkspacesClient().Get(background(t), group, workspace, nil)
		var answer *azidentity.AuthenticationFailedError
		if !errors.As(err, &answer) || !strings.Contains(err.Error(), "AADSTS50027") {
			t.Errorf("got %v, want AADSTS50027", err)
		}
	})

	// Not parallel: the place of an app's identity is told by the process's environment.
	t.Run("with an app's managed identity", func(t *testing.T) {
		t.Setenv("IDENTITY_ENDPOINT", azure.url+"/msi/token")
		t.Setenv("IDENTITY_HEADER", "contract-identity-header")
		credential, err := azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{
			ClientOptions: azure.identityOptions(t),
		})
		must(t, err)
		read(t, credential)
	})

	t.Run("and the token says how long it is good", func(t *testing.T) {
		t.Parallel()
		token, err := azure.secretOf(t, writer, secret).GetToken(background(t), policy.TokenRequestOptions{Scopes: []string{audience + "/.default"}})
		must(t, err)
		if left := time.Until(token.ExpiresOn); left <= 0 || left > 2*time.Hour {
			t.Errorf("good for %s", left)
		}
	})
}
