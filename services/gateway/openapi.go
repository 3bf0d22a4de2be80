package gateway

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"

	"github.com/resonance/resonance/pkg/columns"
	"github.com/resonance/resonance/pkg/service"
	"github.com/resonance/resonance/services/gateway/internal/api"
	"github.com/resonance/resonance/services/gateway/internal/auth"
)

// OpenAPI gives the document that describes the API, as /openapi.json answers it.
func OpenAPI() ([]byte, error) {
	a, err := api.New(api.Config{Log: slog.New(slog.DiscardHandler), Auth: &auth.Authenticator{}, Health: &service.Health{}, Catalog: &columns.Catalog{}})
	if err != nil {
		return nil, err
	}
	answer := httptest.NewRecorder()
	a.ServeHTTP(answer, httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/openapi.json", http.NoBody))
	return answer.Body.Bytes(), nil
}
