package argo

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/util/lua"
	"github.com/argoproj/gitops-engine/pkg/health"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// The prefix of the ConfigMap's keys that hold health scripts.
const healthKey = "resource.customizations.health."

// healthTests is a health_test.yaml, as Argo CD's repository has it.
type healthTests struct {
	Tests []struct {
		InputPath    string              `json:"inputPath"`
		HealthStatus health.HealthStatus `json:"healthStatus"`
	} `json:"tests"`
}

// TestHealth runs the scripts of the ConfigMap in the file ARGOCD_CM on all test data under the folders HEALTH_TESTS, in
// the layout of Argo CD's resource_customizations.
func TestHealth(t *testing.T) {
	var config corev1.ConfigMap
	read(t, named(t, "ARGOCD_CM"), &config)
	overrides := map[string]v1alpha1.ResourceOverride{}
	for key, script := range config.Data {
		if kind, ok := strings.CutPrefix(key, healthKey); ok {
			overrides[strings.Replace(kind, "_", "/", 1)] = v1alpha1.ResourceOverride{HealthLua: script}
		}
	}
	for _, root := range filepath.SplitList(named(t, "HEALTH_TESTS")) {
		for _, path := range testFiles(t, root) {
			testFolder(t, root, filepath.Dir(path), overrides)
		}
	}
}

func testFolder(t *testing.T, root, folder string, overrides map[string]v1alpha1.ResourceOverride) {
	var tests healthTests
	read(t, filepath.Join(folder, "health_test.yaml"), &tests)
	kind, err := filepath.Rel(root, folder)
	if err != nil {
		t.Fatal(err)
	}
	// What ships is run as a script of Argo CD's own repository, too.
	script, err := os.ReadFile(filepath.Join(folder, "health.lua"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, test := range tests.Tests {
		t.Run(kind+"/"+filepath.Base(test.InputPath), func(t *testing.T) {
			var object unstructured.Unstructured
			read(t, filepath.Join(folder, test.InputPath), &object.Object)
			got, err := lua.ResourceHealthOverrides(overrides).GetResourceHealth(&object)
			expect(t, "by the ConfigMap", got, err, test.HealthStatus)
			if script != nil {
				got, err := lua.VM{UseOpenLibs: true}.ExecuteHealthLua(&object, string(script))
				expect(t, "by the file", got, err, test.HealthStatus)
			}
		})
	}
}

func expect(t *testing.T, how string, got *health.HealthStatus, err error, want health.HealthStatus) {
	t.Helper()
	if err != nil || got == nil || *got != want {
		t.Errorf("%s: %+v (error %v), want %+v", how, got, err, want)
	}
}

func testFiles(t *testing.T, root string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if filepath.Base(path) == "health_test.yaml" {
			found = append(found, path)
		}
		return err
	})
	if err != nil || len(found) == 0 {
		t.Fatalf("no health_test.yaml under %s (error %v)", root, err)
	}
	return found
}

// named is the value of a variable that whoever runs the test has to set.
func named(t *testing.T, variable string) string {
	t.Helper()
	value := os.Getenv(variable)
	if value == "" {
		t.Fatalf("%s is not set: see doc.go for who runs this", variable)
	}
	return value
}

// read reads YAML or JSON.
func read(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		err = yaml.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}
