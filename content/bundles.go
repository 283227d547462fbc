package content

const baseYamlString, oobYamlString = "", ""
