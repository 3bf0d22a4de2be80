package natsauth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

const (
	authorityLife   = 10 * 365 * 24 * time.Hour
	certificateLife = 825 * 24 * time.Hour
)

// authority signs the certificates of a NATS server and of its users. It trusts, and is trusted by, nobody else.
type authority struct {
	cert *x509.Certificate
	pem  []byte
	key  *ecdsa.PrivateKey
}

// MakeCertificates makes an authority in dir, or takes the one that is there, and with it new certificates: the server's,
// for hosts, and one for each user that MakeKeys made, whose common name is the user's.
func MakeCertificates(dir string, hosts ...string) error {
	ca, err := openAuthority(filepath.Join(dir, authorityFolder))
	if err != nil {
		return fmt.Errorf("certificate authority: %w", err)
	}
	server := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "nats"}, // also a client, of the other servers of a cluster
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			server.IPAddresses = append(server.IPAddresses, ip)
		} else {
			server.DNSNames = append(server.DNSNames, host)
		}
	}
	if err := ca.issue(filepath.Join(dir, serverFolder), server); err != nil {
		return fmt.Errorf("certificate of the server: %w", err)
	}
	keys, err := publicKeys(dir)
	if err != nil {
		return err
	}
	for name := range keys {
		client := &x509.Certificate{Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
		if err := ca.issue(filepath.Join(dir, name), client); err != nil {
			return fmt.Errorf("certificate of %s: %w", name, err)
		}
	}
	return nil
}

func openAuthority(dir string) (*authority, error) {
	certificate, err := os.ReadFile(filepath.Join(dir, CAFile))
	if errors.Is(err, fs.ErrNotExist) {
		return makeAuthority(dir)
	}
	if err != nil {
		return nil, err
	}
	private, err := os.ReadFile(filepath.Join(dir, "ca.key"))
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(certificate)
	keyBlock, _ := pem.Decode(private)
	if block == nil || keyBlock == nil {
		return nil, fmt.Errorf("%s is not PEM", dir)
	}
	ca := &authority{pem: certificate}
	if ca.cert, err = x509.ParseCertificate(block.Bytes); err != nil {
		return nil, err
	}
	ca.key, err = x509.ParseECPrivateKey(keyBlock.Bytes)
	return ca, err
}

func makeAuthority(dir string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Resonance NATS"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(authorityLife), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	ca := &authority{key: key, pem: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
	if ca.cert, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := writeKey(filepath.Join(dir, "ca.key"), key); err != nil {
		return nil, err
	}
	return ca, os.WriteFile(filepath.Join(dir, CAFile), ca.pem, 0o644) //nolint:gosec // public
}

// issue writes a new key, its certificate and the authority's to dir.
func (ca *authority) issue(dir string, template *x509.Certificate) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return err
	}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(certificateLife)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, key.Public(), ca.key)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return errors.Join(
		writeKey(filepath.Join(dir, KeyFile), key),
		os.WriteFile(filepath.Join(dir, CertFile), certificate, 0o644), //nolint:gosec // public
		os.WriteFile(filepath.Join(dir, CAFile), ca.pem, 0o644),        //nolint:gosec // public
	)
}

func writeKey(path string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o644) //nolint:gosec // see MakeKeys
}
