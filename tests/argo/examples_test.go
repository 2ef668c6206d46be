package argo

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"sigs.k8s.io/yaml"
)

// TestExamples reads the Applications in the folder EXAMPLES by Argo CD's own types, where no field may be unknown; what an
// Application takes from this repository is there.
func TestExamples(t *testing.T) {
	folder := named(t, "EXAMPLES")
	for _, name := range []string{"operator.yaml", "operator-kustomize.yaml", "teams.yaml"} {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(folder, name))
			if err != nil {
				t.Fatal(err)
			}
			if name == "teams.yaml" {
				var set v1alpha1.ApplicationSet
				if err := yaml.UnmarshalStrict(text, &set); err != nil {
					t.Fatal(err)
				}
				return
			}
			var application v1alpha1.Application
			if err := yaml.UnmarshalStrict(text, &application); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(filepath.Join(folder, "../../..", application.Spec.Source.Path)); err != nil {
				t.Error(err)
			}
		})
	}
}
