package contract

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// certified is a principal of its own for these tests.
const certified = "00000000-0000-0000-0000-0000000000e5"

// newCertificate is a self-signed one with its key, and its PEM.
func newCertificate(t *testing.T) (*x509.Certificate, crypto.PrivateKey, string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "contract"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	certificate, err := x509.ParseCertificate(der)
	must(t, err)
	return certificate, key, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func (a *azure) certificateOf(t *testing.T, certificate *x509.Certificate, key crypto.PrivateKey, chain bool) azcore.TokenCredential {
	t.Helper()
	credential, err := azidentity.NewClientCertificateCredential(tenant, certified, []*x509.Certificate{certificate}, key,
		&azidentity.ClientCertificateCredentialOptions{
			ClientOptions: a.identityOptions(t), DisableInstanceDiscovery: true, SendCertificateChain: chain,
		})
	must(t, err)
	return credential
}

func TestSigningInWithACertificate(t *testing.T) {
	t.Parallel()
	azure := newAzure(t)
	// The client writes thumbprints in either alphabet of base64; enough of them have a letter that tells the two apart.
	const certificates = 6
	var registered []any
	var credentials []azcore.TokenCredential
	for i := range certificates {
		certificate, key, text := newCertificate(t)
		registered = append(registered, map[string]any{"pem": text})
		credentials = append(credentials, azure.certificateOf(t, certificate, key, i%2 == 1))
	}
	roles := []any{map[string]any{"scope": "/subscriptions/" + subscription, "role": "Reader"}}
	azure.admin(t, http.MethodPost, "principals/"+certified, map[string]any{"tenant": tenant, "certificates": registered, "roles": roles})

	t.Run("each registered certificate signs in", func(t *testing.T) {
		t.Parallel()
		for _, credential := range credentials {
			got, err := azure.clients(t, credential).NewWorkspacesClient().Get(background(t), group, workspace, nil)
			must(t, err)
			same(t, "name", got.Name, workspace)
		}
	})

	t.Run("one that isn't registered is told by a typed error", func(t *testing.T) {
		t.Parallel()
		certificate, key, _ := newCertificate(t)
		_, err := azure.clients(t, azure.certificateOf(t, certificate, key, false)).NewWorkspacesClient().Get(background(t), group, workspace, nil)
		var answer *azidentity.AuthenticationFailedError
		if !errors.As(err, &answer) || !strings.Contains(err.Error(), "AADSTS700027") {
			t.Errorf("got %v, want AADSTS700027", err)
		}
	})
}
