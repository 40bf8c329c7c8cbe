"""What tests share: free ports, waiting, real Envoys, backends, manifests, the program as users start it."""
