// Command controllers runs the three controllers of kube-controller-manager that the tests need:
// EndpointSlices of Services, a default ServiceAccount per namespace, and long-lived tokens of Secrets.
package main

import (
	"context"
	"flag"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/keyutil"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/controller/endpointslice"
	serviceaccounts "k8s.io/kubernetes/pkg/controller/serviceaccount"
	"k8s.io/kubernetes/pkg/serviceaccount"
)

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func main() {
	kubeconfig := flag.String("kubeconfig", "", "how to reach the API server, as a cluster administrator")
	keyFile := flag.String("service-account-private-key-file", "", "signs the tokens of Secrets")
	caFile := flag.String("root-ca-file", "", "the certificate authority written beside those tokens")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()

	config := must(clientcmd.BuildConfigFromFlags("", *kubeconfig))
	config.QPS, config.Burst = 1000, 2000
	client := must(kubernetes.NewForConfig(config))
	all := informers.NewSharedInformerFactory(client, 0)
	core := all.Core().V1()
	logger := klog.FromContext(ctx)

	slices := endpointslice.NewController(ctx, core.Pods(), core.Services(), core.Nodes(),
		all.Discovery().V1().EndpointSlices(), 100, client, 0)
	accounts := must(serviceaccounts.NewServiceAccountsController(logger, core.ServiceAccounts(),
		core.Namespaces(), client, serviceaccounts.DefaultServiceAccountsControllerOptions()))
	key := must(keyutil.PrivateKeyFromFile(*keyFile))
	tokens := must(serviceaccounts.NewTokensController(logger, core.ServiceAccounts(), core.Secrets(), client,
		serviceaccounts.TokensControllerOptions{
			TokenGenerator: must(serviceaccount.JWTTokenGenerator(serviceaccount.LegacyIssuer, key)),
			RootCA:         must(os.ReadFile(*caFile)),
		}))

	all.Start(ctx.Done())
	go slices.Run(ctx, 4)
	go accounts.Run(ctx, 1)
	go tokens.Run(ctx, 1)
	<-ctx.Done()
	time.Sleep(100 * time.Millisecond)
}
