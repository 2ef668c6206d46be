// Package monitoring lets Prometheus' own parsers judge the chart's alerts and dashboard. The end-to-end test manifests runs
// it, and names in the environment what is to be judged.
package monitoring
