// Package session serves logging in and out.
package session

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"

	"github.com/danielgtaylor/huma/v2"

	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/services/gateway/internal/access"
	"github.com/resonance/resonance/services/gateway/internal/auth"
	"github.com/resonance/resonance/services/gateway/internal/problem"
	"github.com/resonance/resonance/services/gateway/internal/route"
)

// Credentials is what POST /token takes, as a form (OAuth 2.0, RFC 6749 section 4.3) or as JSON.
type Credentials struct {
	GrantType string   `json:"grant_type,omitempty" enum:"password" doc:"if present, password"`
	Username  string   `json:"username" minLength:"1"`
	Password  string   `json:"password" minLength:"1" format:"password"`
	_         struct{} `additionalProperties:"true"`
}

// RefreshToken is what POST /token/refresh and /token/revoke take, as a form or as JSON.
type RefreshToken struct {
	GrantType    string   `json:"grant_type,omitempty" enum:"refresh_token" doc:"if present, refresh_token"`
	RefreshToken string   `json:"refresh_token" minLength:"1"`
	_            struct{} `additionalProperties:"true"`
}

// Tokens is the answer to a login or a refresh.
type Tokens struct {
	AccessToken  string    `json:"access_token" doc:"a JWT; send it as Authorization: Bearer"`
	TokenType    string    `json:"token_type" enum:"bearer"`
	ExpiresIn    int       `json:"expires_in" doc:"seconds"`
	RefreshToken string    `json:"refresh_token" doc:"for POST /token/refresh; changes each time"`
	Role         auth.Role `json:"role" enum:"viewer,operator,admin"`
}

// Me is who the caller is.
type Me struct {
	Username string    `json:"username"`
	Name     string    `json:"name" doc:"as Odoo has it; the username where there is no other"`
	Role     auth.Role `json:"role" enum:"viewer,operator,admin"`
	Provider string    `json:"provider" enum:"local,odoo" doc:"who knows the user's password"`
}

func meOf(id auth.Identity) Me {
	me := Me{Username: id.Username, Name: id.Name, Role: id.Role, Provider: id.Provider()}
	if me.Name == "" {
		me.Name = me.Username
	}
	return me
}

// session serves logging in and out.
type session struct{ *route.Routes }

// Register adds the routes of tokens.
func Register(r *route.Routes) {
	a := &session{r}
	//nolint:gosec // G101: an example
	tokens := Tokens{AccessToken: "eyJhbGciOiJIUzI1NiIs…", TokenType: "bearer", ExpiresIn: 900, RefreshToken: "p5x0bW9jay1yZWZyZXNo…", Role: auth.Operator}
	refresh := RefreshToken{RefreshToken: tokens.RefreshToken}
	whose, errs := "", route.AskErrors(http.StatusUnauthorized, http.StatusUnsupportedMediaType, http.StatusTooManyRequests)
	if a.Auth.AsksOdoo() {
		whose = " The credentials are those of Odoo's users, an API key in place of the password where Odoo demands one; sessions end 24 hours after the login. " +
			"403: the user is no internal one of Odoo's. Administrators of Resonance's own can log in too."
		errs = append(errs, http.StatusForbidden)
	}
	a.Add(huma.Operation{
		OperationID: "login", Method: http.MethodPost, Path: "/token", Tags: []string{"session"},
		Summary:     "Log in",
		Description: "Gives an access token for 15 minutes and a refresh token for 30 days. Wrong guesses are slowed down." + whose,
		RequestBody: formOrJSON[Credentials](a.Routes, Credentials{Username: "ana", Password: "correcto caballo"}),
		Responses:   route.OK[Tokens](a.Routes, "Logged in", tokens),
		Errors:      errs,
	}, "", a.login)
	a.Add(huma.Operation{
		OperationID: "refresh", Method: http.MethodPost, Path: "/token/refresh", Tags: []string{"session"},
		Summary: "Exchange a refresh token for new tokens",
		Description: "The old refresh token still answers calls in parallel, for a minute, with the same new one. " +
			"Used after that it ends the session: somebody else may have it.",
		RequestBody: formOrJSON[RefreshToken](a.Routes, refresh),
		Responses:   route.OK[Tokens](a.Routes, "New tokens", tokens),
		Errors:      route.AskErrors(http.StatusUnauthorized, http.StatusUnsupportedMediaType),
	}, "", a.refresh)
	a.Add(huma.Operation{
		OperationID: "logout", Method: http.MethodPost, Path: "/token/revoke", Tags: []string{"session"},
		Summary:     "Log out",
		Description: "Ends the session of a refresh token; one that is not good ends nothing and is no error. Access tokens stay good until they expire.",
		RequestBody: formOrJSON[RefreshToken](a.Routes, refresh),
		Responses:   map[string]*huma.Response{"204": {Description: "The session is over"}},
		Errors:      route.AskErrors(http.StatusUnsupportedMediaType),
	}, "", a.revoke)
	route.Register(a.Routes, huma.Operation{
		OperationID: "me", Method: http.MethodGet, Path: "/api/me", Tags: []string{"session"},
		Summary: "Who am I", Responses: route.OK[Me](a.Routes, "The caller", Me{Username: "ana", Name: "Ana Ruiz", Role: auth.Operator, Provider: "odoo"}),
	}, auth.Viewer, func(ctx context.Context, _ *struct{}) (*struct{ Body Me }, error) {
		return &struct{ Body Me }{meOf(access.Of(ctx).Who)}, nil
	})
}

// formOrJSON documents a body that may be either.
func formOrJSON[T any](a *route.Routes, example T) *huma.RequestBody {
	media := &huma.MediaType{Schema: route.SchemaOf[T](a), Example: route.AsJSON(example)}
	return &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
		"application/x-www-form-urlencoded": media, "application/json": media,
	}}
}

func (a *session) login(w http.ResponseWriter, r *http.Request) error {
	values, err := readValues(r, "username", "password")
	if err != nil {
		return err
	}
	if g, ok := values["grant_type"]; ok && g != "" && g != "password" {
		return fault.Field("grant_type", fault.T("debe ser password", "must be password"))
	}
	limit := route.Timeout
	if a.Auth.AsksOdoo() {
		limit = route.PeerTimeout
	}
	ctx, cancel := context.WithTimeout(r.Context(), limit)
	defer cancel()
	grant, err := a.Auth.Login(ctx, values["username"], values["password"], route.ClientIP(r))
	if err != nil {
		return err
	}
	return writeTokens(w, grant)
}

func (a *session) refresh(w http.ResponseWriter, r *http.Request) error {
	values, err := readValues(r, "refresh_token")
	if err != nil {
		return err
	}
	if g, ok := values["grant_type"]; ok && g != "" && g != "refresh_token" {
		return fault.Field("grant_type", fault.T("debe ser refresh_token", "must be refresh_token"))
	}
	ctx, cancel := context.WithTimeout(r.Context(), route.Timeout)
	defer cancel()
	grant, err := a.Auth.Refresh(ctx, values["refresh_token"])
	if err != nil {
		return err
	}
	return writeTokens(w, grant)
}

func (a *session) revoke(w http.ResponseWriter, r *http.Request) error {
	values, err := readValues(r, "refresh_token")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), route.Timeout)
	defer cancel()
	if err := a.Auth.Revoke(ctx, values["refresh_token"]); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func writeTokens(w http.ResponseWriter, g auth.Grant) error {
	w.Header()["Content-Type"] = route.JSONType
	w.Header()["Cache-Control"] = route.NoStore
	//nolint:gosec,errchkjson // G117: handing out tokens is what this is for
	_ = json.NewEncoder(w).Encode(Tokens{ // the client has gone
		AccessToken: g.AccessToken, TokenType: "bearer", ExpiresIn: int(g.ExpiresIn.Seconds()), RefreshToken: g.RefreshToken, Role: g.Role,
	})
	return nil
}

// readValues reads a form or a JSON object of strings, whichever it is, and demands some of them.
func readValues(r *http.Request, required ...string) (map[string]string, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" && kind != "application/json" {
		return nil, problem.ErrMediaType
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, problem.FromHuma(http.StatusBadRequest, "cannot read request body", []error{err})
	}
	values := map[string]string{}
	mistakes := map[string]fault.Text{}
	if kind == "application/json" {
		err = parseJSON(body, values, mistakes)
	} else {
		err = parseForm(body, values)
	}
	if err != nil {
		return nil, err
	}
	for _, name := range required {
		if _, wrong := mistakes[name]; values[name] == "" && !wrong {
			mistakes[name] = fault.T("falta", "is missing")
		}
	}
	if f := problem.Invalid(mistakes); f != nil {
		return nil, f
	}
	return values, nil
}

func parseForm(body []byte, values map[string]string) error {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return fault.New(fault.Invalid, fault.T("El formulario está mal codificado", "The form is badly encoded"))
	}
	for name := range form {
		values[name] = form.Get(name)
	}
	return nil
}

func parseJSON(body []byte, values map[string]string, mistakes map[string]fault.Text) error {
	var object map[string]any
	if err := json.Unmarshal(body, &object); err != nil {
		if _, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return fault.New(fault.Invalid, fault.T("El cuerpo debe ser un objeto JSON", "The body must be a JSON object"))
		}
		return fault.New(fault.Invalid, fault.T("El cuerpo no es JSON válido", "The body is not valid JSON"))
	}
	for _, name := range []string{"grant_type", "username", "password", "refresh_token"} {
		switch v := object[name].(type) {
		case nil:
		case string:
			values[name] = v
		default:
			mistakes[name] = fault.T("debe ser un texto", "must be a text")
		}
	}
	return nil
}
