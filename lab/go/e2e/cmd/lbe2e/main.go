// Command lbe2e is the network part of Kubernetes' own end-to-end suite as one program.
//
// Upstream builds its suite as a Go test; this is the same suite started from main, so that it is
// built, cached and started like every other program of the lab. Nothing of a case is changed.
package main

import (
	"context"
	"flag"
	"os"
	"sync/atomic"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"
	"k8s.io/component-base/logs"
	_ "k8s.io/component-base/logs/testinit" // the suite's own flags of logging
	"k8s.io/kubernetes/test/e2e/framework"
	"k8s.io/kubernetes/test/e2e/framework/config"
	_ "k8s.io/kubernetes/test/e2e/framework/debug/init" // what failed cases dump
	e2enode "k8s.io/kubernetes/test/e2e/framework/node"
	_ "k8s.io/kubernetes/test/e2e/framework/node/init" // node checks after each case
	"k8s.io/kubernetes/test/e2e/framework/testfiles"
	_ "k8s.io/kubernetes/test/e2e/network" // the cases
	e2etestingmanifests "k8s.io/kubernetes/test/e2e/testing-manifests"
)

// verdict is what ginkgo wants of *testing.T: to be told that something failed.
type verdict struct{ failed atomic.Bool }

func (v *verdict) Fail() { v.failed.Store(true) }

// The part of upstream's suite set-up that cases read: how many nodes they may use.
var _ = ginkgo.BeforeSuite(func(ctx context.Context) {
	client, err := framework.LoadClientset()
	framework.ExpectNoError(err, "loading the client")
	nodes, err := e2enode.GetReadySchedulableNodes(ctx, client)
	framework.ExpectNoError(err, "listing nodes")
	framework.TestContext.CloudConfig.NumNodes = len(nodes.Items)
})

func main() {
	config.CopyFlags(config.Flags, flag.CommandLine)
	framework.RegisterCommonFlags(flag.CommandLine)
	framework.RegisterClusterFlags(flag.CommandLine)
	flag.Parse()
	testfiles.AddFileSource(e2etestingmanifests.GetE2ETestingManifestsFS())
	framework.AfterReadingAllFlags(&framework.TestContext)
	logs.InitLogs()
	gomega.RegisterFailHandler(framework.Fail)
	suite, report := framework.CreateGinkgoConfig()
	told := &verdict{}
	if !ginkgo.RunSpecs(told, "lbctl conformance", suite, report) || told.failed.Load() {
		logs.FlushLogs()
		os.Exit(1)
	}
	logs.FlushLogs()
}
