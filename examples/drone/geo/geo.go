// Package geo places things on the map: points in degrees as the wire has them ("lat,lon"), distances in metres and bearings in degrees. The earth is a sphere here, which is off by
// up to half a percent; over a city that is nothing.
package geo

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// radius is the earth's mean radius in metres.
const radius = 6_371_009

// ErrPoint says that a text is no point; the text of the error says what one looks like.
var ErrPoint = errors.New(`a location is "lat,lon" in degrees, such as "55.6761,12.5683"`)

// Point is a place. In JSON it is a text, as the wire has it.
type Point struct {
	Lat float64 `json:"lat"` // degrees north
	Lon float64 `json:"lon"` // degrees east
}

// Parse reads "lat,lon" in degrees, in decimal notation without a sign of plus, and with up to one space after the comma. The error wraps ErrPoint.
func Parse(text string) (Point, error) {
	lat, lon, found := strings.Cut(text, ",")
	if !found || len(text) > 64 {
		return Point{}, ErrPoint
	}
	p, err := Point{}, error(nil)
	if p.Lat, err = degrees(lat, 90); err != nil {
		return Point{}, err
	}
	if p.Lon, err = degrees(strings.TrimPrefix(lon, " "), 180); err != nil {
		return Point{}, err
	}
	return p, nil
}

// degrees reads a number between -most and most. It is stricter than strconv, which also takes hexadecimal numbers, exponents and words.
func degrees(text string, most float64) (float64, error) {
	if strings.ContainsFunc(text, func(r rune) bool { return r != '-' && r != '.' && (r < '0' || r > '9') }) {
		return 0, ErrPoint
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || math.Abs(v) > most {
		return 0, fmt.Errorf("%w, up to %g", ErrPoint, most)
	}
	return v, nil
}

// String is the point as the wire has it, to about 10 cm.
func (p Point) String() string {
	return strconv.FormatFloat(p.Lat, 'f', 6, 64) + "," + strconv.FormatFloat(p.Lon, 'f', 6, 64)
}

// MarshalText implements encoding.TextMarshaler.
func (p Point) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Point) UnmarshalText(text []byte) (err error) {
	*p, err = Parse(string(text))
	return err
}

func radians(d float64) float64 { return d * math.Pi / 180 }

// Distance is how far two points are from each other, in metres, by the haversine formula.
func Distance(a, b Point) float64 {
	sinLat, sinLon := math.Sin(radians(b.Lat-a.Lat)/2), math.Sin(radians(b.Lon-a.Lon)/2)
	h := sinLat*sinLat + math.Cos(radians(a.Lat))*math.Cos(radians(b.Lat))*sinLon*sinLon
	return 2 * radius * math.Asin(math.Min(1, math.Sqrt(h)))
}

// Bearing is the direction from one point to another, in degrees clockwise from north, from 0 up to 360. It is 0 if they are the same.
func Bearing(from, to Point) float64 {
	d := radians(to.Lon - from.Lon)
	y := math.Sin(d) * math.Cos(radians(to.Lat))
	x := math.Cos(radians(from.Lat))*math.Sin(radians(to.Lat)) - math.Sin(radians(from.Lat))*math.Cos(radians(to.Lat))*math.Cos(d)
	return math.Mod(math.Atan2(y, x)*180/math.Pi+360, 360)
}

// Between is the point that lies a part of the way from one to another: 0 is the first and 1 the second. It goes straight on the map, which over a city is straight in the air.
func Between(from, to Point, part float64) Point {
	part = math.Max(0, math.Min(1, part))
	return Point{from.Lat + (to.Lat-from.Lat)*part, from.Lon + (to.Lon-from.Lon)*part}
}
