// Package services makes virtual servers, pools and NAT rules of what users wrote: Services and EndpointSlices of
// Kubernetes, and kinds of our own.
package services
