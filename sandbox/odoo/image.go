package odootest

import (
	"bytes"
	"encoding/base64"
	"image"
	"image/color"
	_ "image/gif"  // clients may send one
	_ "image/jpeg" // clients may send one
	"image/png"
	"strconv"
	"strings"
)

// maxPixels is Odoo's limit on an image (odoo/tools/image.py).
const maxPixels = 50_000_000

// decodeImage checks base64 of an image, and gives it back in plain form.
func decodeImage(s string) (any, error) {
	raw, err := base64.StdEncoding.DecodeString(strings.NewReplacer("\n", "", "\r", "", " ", "").Replace(s))
	if err != nil {
		return nil, userError("This file could not be decoded as an image file.", "Este archivo no se pudo decodificar como imagen.")
	}
	cfg, _, err := image.DecodeConfig(bytes.NewReader(raw))
	if err != nil {
		return nil, userError("This file could not be decoded as an image file.", "Este archivo no se pudo decodificar como imagen.")
	}
	if cfg.Width*cfg.Height > maxPixels {
		return nil, userError("Image size excessive, uploaded images must be smaller than 50 million pixels.", "La imagen es demasiado grande: debe tener menos de 50 millones de píxeles.")
	}
	return base64.StdEncoding.EncodeToString(raw), nil
}

// thumbnails are an image's fields: itself and, where it is larger, its reductions.
func thumbnails(v any) map[string]any {
	out := map[string]any{"image_1920": v}
	s, _ := v.(string)
	var img image.Image
	if raw, err := base64.StdEncoding.DecodeString(s); err == nil && s != "" {
		img, _, _ = image.Decode(bytes.NewReader(raw)) // none if its body is broken: Odoo keeps such a file as it is
	}
	for _, size := range []int{1024, 512, 256, 128} {
		name := "image_" + strconv.Itoa(size)
		out[name] = v
		if img != nil && max(img.Bounds().Dx(), img.Bounds().Dy()) > size {
			out[name] = encodePNG(shrink(img, size))
		}
	}
	return out
}

func encodePNG(img image.Image) string {
	var buf bytes.Buffer
	if err := png.Encode(&buf, img); err != nil {
		panic(err) // only sizes of zero and failing writers do
	}
	return base64.StdEncoding.EncodeToString(buf.Bytes())
}

// shrink fits an image into a square, taking the nearest pixels.
func shrink(img image.Image, size int) image.Image {
	b := img.Bounds()
	longer := max(b.Dx(), b.Dy())
	w, h := max(1, b.Dx()*size/longer), max(1, b.Dy()*size/longer)
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			out.Set(x, y, img.At(b.Min.X+x*b.Dx()/w, b.Min.Y+y*b.Dy()/h))
		}
	}
	return out
}

// picture draws a sample: rings in two colours, other ones for every number.
func picture(n, size int) string {
	c := func(k int) color.RGBA {
		return color.RGBA{uint8(n*k*53 + 60), uint8(n*k*91 + 30), uint8(n*k*37 + 110), 255}
	}
	img := image.NewPaletted(image.Rect(0, 0, size, size), color.Palette{c(1), c(2), color.White})
	for y := range size {
		for x := range size {
			dx, dy := x-size/2, y-size/2
			img.SetColorIndex(x, y, uint8((dx*dx+dy*dy)*(3+n%5)/(size*size/3)%3))
		}
	}
	return encodePNG(img)
}
