"""Puts the sidecar into pods: as a mutating admission webhook, and offline into manifests. The same edits in both."""
