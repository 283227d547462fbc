package content

//go:generate go run ../tools/contents bundle base.go --dir base --package content --variable baseYamlString
//go:generate go run ../tools/contents bundle oob.go --dir oob --package content --variable oobYamlString
//go:generate go run ../tools/contents document base -o ../docs/reference/base.rst
//go:generate go run ../tools/contents document oob -o ../docs/reference/oob.rst
